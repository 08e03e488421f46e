"""One HTML page of what was recorded and what the agent makes of it. Self-contained: no script, nothing fetched."""

from __future__ import annotations

import statistics
from collections import defaultdict
from html import escape
from typing import TYPE_CHECKING, Any

from agent.expression import signal_of
from agent.learning.ledger import fold
from agent.replay.case import MECHANISMS
from agent.replay.play import play
from agent.replay.utility import CAP_S
from lab.recordings.chart import Bar, Mark, bars, line
from lab.recordings.told import as_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.runbook.skill import Skill
    from lab.recordings.recording import Recording

Row = dict[str, Any]

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--dim:#5c6675;--paper:#fff;--rule:#d9dee6;--own:#2f6f9f;--other:#9aa5b5;
--bad:#b4432f}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa5b5;--paper:#14181f;--rule:#333b47;--own:#6fb1e0;
--other:#566173;--bad:#e88873}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:760px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem;border-top:1px solid var(--rule);padding-top:1rem}
p,td,th,li{color:var(--ink)}.dim{color:var(--dim)}table{border-collapse:collapse;width:100%;font-size:.85rem}
td,th{text-align:left;padding:.2rem .5rem .2rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
td.n,th.n{text-align:right}pre{font-size:.75rem;overflow-x:auto}
svg{max-width:100%;height:auto;display:block}.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));
gap:.8rem}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .tick{font-size:9px;fill:var(--dim)}
svg .own{fill:var(--own)}svg .other{fill:var(--other)}svg .bad{fill:var(--bad)}
svg .whisker{stroke:var(--ink);fill:none;stroke-width:1.2}
svg .line{stroke:var(--own);fill:none;stroke-width:1.5}svg .mark{stroke:var(--dim);stroke-dasharray:2 3;fill:none}
svg .limit{stroke:var(--bad);stroke-width:1;fill:none}
"""


def page(
    recordings: Sequence[Recording], rows: Sequence[Row], skills: Mapping[str, Skill], ledger: Sequence[Row] = ()
) -> str:
    """rows: those of lab.bench.incidents.measured. ledger: rows of a learning run, where there is one."""
    sections = [
        _recorded(recordings),
        _by_fault(rows),
        _methods(rows),
        _times(rows),
        _strata(rows),
        _replays(recordings, skills),
        _signals(recordings),
        _learning(ledger),
    ]
    conditions = next((row for row in rows if row["kind"] == "conditions"), {})
    load = ", ".join(str(one) for one in conditions.get("load", ()))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Stanch: incidents of the lab</title>'
        f"<style>{_STYLE}</style><h1>Incidents of the lab</h1>"
        f'<p class="dim">{len(recordings)} recordings of a simulated production on one machine, and incidents generated'
        f" from them. Load of the machine while this was measured: {escape(load)}.</p>{''.join(sections)}</html>"
    )


def _section(title: str, said: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(said)}</p>{''.join(parts)}"


def _recorded(recordings: Sequence[Recording]) -> str:
    grouped: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        grouped[recording.fault].append(recording)
    body = "".join(_fault_line(fault, found) for fault, found in sorted(grouped.items()))
    heads = "<tr><th>fault<th>mechanism<th class=n>recordings<th>alerts<th>repaired by<th class=n>back after"
    said = "A fault was injected, its alert awaited, everything asked twice, and the repair timed."
    return _section("What was recorded", said, f"<table>{heads}{body}</table>")


def _fault_line(fault: str, found: Sequence[Recording]) -> str:
    truth = found[0].truth
    alerts = ", ".join(sorted({one.alert.labels.get("alertname", "") for one in found}))
    times = [one.truth.restore_s for one in found if one.truth.restore_s is not None]
    back = f"{statistics.median(times):.0f} s" if times else ""
    what = MECHANISMS[truth.mechanism]
    return (
        f"<tr><td>{escape(fault)}<td>{escape(what)}<td class=n>{len(found)}<td>{escape(alerts)}"
        f"<td>{escape(truth.action or 'nobody but a human')}<td class=n>{back}"
    )


def _by_fault(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row["kind"] == "fault"]
    drawn = bars("mechanism named right, by fault", [_share_bar(row["stratum"], row["mechanism"]) for row in found], 1)
    said = "Share of a fault's recordings whose mechanism the agent named; the whisker is Wilson's 95 % interval."
    return _section("By fault", said, drawn)


def _share_bar(label: str, share: Mapping[str, Any], kind: str = "own") -> Bar:
    if share["share"] is None:
        return Bar(label, None, "none")
    return Bar(label, share["share"], f"{share['right']} of {share['of']}", share["low"], share["high"], kind)


def _results(rows: Sequence[Row], stratum: str = "all") -> list[Row]:
    return [row for row in rows if row["kind"] == "result" and row["stratum"] == stratum]


def _methods(rows: Sequence[Row]) -> str:
    parts = []
    for what in ("mechanism", "component"):
        drawn = [
            _share_bar(f"{row['split']}: {row['method']}", row[what], "own" if row["method"] == "stanch" else "other")
            for row in _results(rows)
            if what == "component" or row["method"] in {"stanch", "most frequent cause"}
        ]
        parts.append(f"<p>{what} named right</p>{bars(f'{what} named right', drawn, 1)}")
    said = "The agent beside rules of thumb on the same cases, recorded ones and generated ones by split."
    return _section("Beside baselines", said, *parts)


def _times(rows: Sequence[Row]) -> str:
    drawn = [
        Bar(
            f"{row['split']}: {row['method']}",
            row["mitigate_s"]["mean"],
            f"{row['mitigate_s']['mean']:.0f} s",
            row["mitigate_s"]["low"],
            row["mitigate_s"]["high"],
            "own" if row["method"] == "stanch" else "other",
        )
        for row in _results(rows)
        if row["mitigate_s"]["mean"] is not None
    ]
    said = (
        f"Restricted mean of the simulated time from the alert to the end, {CAP_S:.0f} s where it did not end; whiskers"
        " are a bootstrap over families."
    )
    return _section("Time to mitigate", said, bars("time to mitigate", drawn, CAP_S))


def _strata(rows: Sequence[Row]) -> str:
    body = "".join(
        f"<tr><td>{escape(row['split'])}<td>{escape(row['stratum'])}<td class=n>{row['cases']}"
        f"<td class=n>{_percent(row['mechanism'])}<td class=n>{_percent(row['component'])}<td class=n>{row['acted']}"
        f"<td class=n>{row['wrong_fixes']['right']}<td class=n>{row['actions_on_harmless']}"
        for row in rows
        if row["kind"] == "result" and row["method"] == "stanch"
    )
    heads = "".join(f"<th class=n>{name}" for name in ("cases", "mechanism", "component", "acted", "wrong", "harm"))
    said = "Where the generator says how a case differs from its recording. Harm: an action where nothing was broken."
    return _section("Strata", said, f"<table><tr><th>split<th>stratum{heads}{body}</table>")


def _percent(share: Mapping[str, Any]) -> str:
    return "" if share["share"] is None else f"{100 * share['share']:.0f} %"


def _replays(recordings: Sequence[Recording], skills: Mapping[str, Skill]) -> str:
    lines = "\n".join(as_line(recording, play(recording.case(), skills)) for recording in recordings)
    said = (
        "What the agent would do with each, with an instant approval; `stanch lab replay NAME` tells it check by check."
    )
    return _section("Each recording", said, f"<pre>{escape(lines)}</pre>")


def _signals(recordings: Sequence[Recording]) -> str:
    first: dict[tuple[str, str], Recording] = {}
    for recording in recordings:
        first.setdefault((recording.fault, recording.alert.labels.get("alertname", "")), recording)
    said = "The alert's own signal, one recording of each fault and alert; seconds after the alert, the limit in red."
    return _section("Signals", said, f'<div class="grid">{"".join(_signal(one) for one in first.values())}</div>')


def _signal(recording: Recording) -> str:
    samples, alert = recording.samples, recording.alert
    lines = samples.signal.lines
    values = lines[0].values if lines else ()
    points = [(samples.start + at * samples.step_s - alert.fired_at, value) for at, value in enumerate(values)]
    signal = signal_of(alert.expr) if alert.expr else None
    marks = (Mark(alert.injected_at - alert.fired_at, "fault"), Mark(0.0, "alert"))
    title = f"{recording.id}: {alert.labels.get('alertname', '')}"
    return line(title, points, marks if points else (), limit=None if signal is None else signal.threshold)


def _learning(ledger: Sequence[Row]) -> str:
    if not ledger:
        return ""
    points: list[tuple[float, float | None]] = []
    for at in range(1, len(ledger) + 1):
        state = fold(ledger[:at])
        points.append((float(state.rounds), sum(one.mean for one in state.kept)))
    drawn = line("gain of the kept edits, by round", points)
    said = (
        "Sum of the mean gains in utility that each kept edit showed on fresh validation incidents when it was kept."
        " What was kept looks better there than it is; docs/learning.md has the sealed figures."
    )
    return _section("Learning", said, drawn)
