"""The incident page: view.whole, put into the order in which a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agent.expression import signal_of
from agent.incident import OPEN_STATES, ExecutionState, IncidentState
from service import view
from service.pages import chart, decision, sentence
from service.pages.text import moment
from service.routes.incidents import titles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.context import Context
    from service.identity import Person

BUILD_PHASES = (
    ("initializing", "prepare"),
    ("waiting for writers before build", "wait for writers"),
    ("building index", "build"),
    ("waiting for writers before validation", "wait for writers"),
    ("index validation", "validate"),
    ("waiting for old snapshots", "wait for old snapshots"),
    ("waiting for readers", "finish"),
)
"""Phases of CREATE INDEX CONCURRENTLY as pg_stat_progress_create_index names them (first words), and ours."""


def read(tx: Transaction, held: Context, incident: Incident, person: Person) -> dict[str, Any]:
    """Everything the templates of one incident need."""
    whole = view.whole(tx, incident, held.ports.configuration, titles(held, incident))
    control = tx.one("control")
    paused = control if control is not None and control["paused"] else None
    advice = _advice(tx, held, incident, whole["proposal"])
    return arrange(whole, advice, person, paused, version=incident.version)


def arrange(
    whole: dict[str, Any], advice: Mapping[str, Any], person: Person, paused: Mapping[str, Any] | None, *, version: int
) -> dict[str, Any]:
    """Pure: the same values give the same page."""
    progress = running(whole)
    return {
        "incident": whole,
        "version": version,
        "live": IncidentState(whole["state"]) in OPEN_STATES,
        "heading": sentence.heading(whole),
        "lines": sentence.lines(whole),
        "badge": sentence.badge(whole["state"], whole["outcome"], progress["percent"] if progress else None),
        "card": decision.card(whole, advice, person, paused),
        "paused": paused,
        "progress": progress,
        "evidence": chart.panel((whole["ranking"] or {}).get("series", ()), _marks(whole)),
        "check_plot": _verification_panel(whole),
        "path": path(whole),
        "hidden": hidden(whole),
    }


def _advice(tx: Transaction, held: Context, incident: Incident, proposal: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the check measured that gave the proposal its parameters. Empty when there is none."""
    skill = held.ports.skills.get(incident.skill or "")
    if proposal is None or skill is None:
        return {}
    names = {fix.params_from for fix in skill.remediations if fix.action == proposal["action"]}
    rows = [row for row in tx.all("evidence", incident=incident.id) if row["name"] in names]
    found: dict[str, Any] = orjson.loads(bytes(rows[-1]["body"])) if rows else {}
    return found


def _expression(whole: Mapping[str, Any]) -> str | None:
    rule: Mapping[str, Any] = (whole["proposal"] or {}).get("verification") or whole["verification"] or {}
    expr: str | None = rule.get("expr")
    return expr


def _marks(whole: Mapping[str, Any]) -> chart.Marks:
    change = (whole["ranking"] or {}).get("change")
    expr = _expression(whole)
    signal = signal_of(expr) if expr else None
    return chart.Marks(
        anomaly_from=change["time"] if change else None,
        threshold=signal.threshold if signal else None,
        signal_unit=chart.unit_in(expr or ""),
        bands=_runs(whole),
    )


def _runs(whole: Mapping[str, Any]) -> tuple[tuple[float, float, str], ...]:
    return tuple(
        (moment(one["started_at"]).timestamp(), moment(one["finished_at"]).timestamp(), one["phase"])
        for one in whole["executions"]
        if one["started_at"] and one["finished_at"]
    )


def _verification_panel(whole: Mapping[str, Any]) -> chart.Panel | None:
    """The alert's signal round the fix. Of several series the worst at each time: all of them have to recover."""
    found = whole["verification"]
    series = (found or {}).get("series") or ()
    if found is None or not series:
        return None
    signal = signal_of(found["expr"]) if found["expr"] else None
    worst = min if signal is not None and signal.comparison in {"<", "<="} else max
    values: dict[float, list[float]] = {}
    for one in series:
        for at, value in zip(one["times"], one["values"], strict=False):
            if value is not None:
                values.setdefault(at, []).append(value)
    times = sorted(values)
    one = {
        "name": f"{whole['service'] or 'service'}|alert signal",
        "times": times,
        "values": [worst(values[at]) for at in times],
    }
    unit = chart.unit_in(found["expr"] or "")
    return chart.panel([one], chart.Marks(threshold=found["threshold"], signal_unit=unit, bands=_runs(whole)))


def running(whole: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the execution that is under way stands. percent None: nobody knows, and no figure is made up."""
    current = next((one for one in reversed(whole["executions"]) if one["finished_at"] is None), None)
    if current is None:
        return None
    lost = current["state"] == ExecutionState.UNKNOWN
    progress = {} if lost else current["progress"] or {}
    phase = progress.get("phase") or ("about to start" if current["started_at"] is None else "started")
    if lost:
        phase = "contact lost: the target is asked what became of it"
    at = next((index for index, (name, _) in enumerate(BUILD_PHASES) if phase.startswith(name)), None)
    return {
        "what": current["phase"],
        "state": current["state"],
        "phase": phase,
        "percent": progress.get("percent"),
        "done": progress.get("done"),
        "total": progress.get("total") or None,
        "unit": progress.get("unit"),
        "blocked_by": progress.get("blocked_by"),
        "started_at": current["started_at"],
        "steps": () if at is None else tuple(
            {"name": ours, "done": index < at, "now": index == at} for index, (_, ours) in enumerate(BUILD_PHASES)
        ),
    }  # fmt: skip


def path(whole: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """From the likely cause to the alert, each service with its most unusual series. Empty: no path is known."""
    ranking = whole["ranking"] or {}
    paths = ranking.get("paths") or ()
    if not paths:
        return ()
    loudest: dict[str, Any] = {}
    for one in ranking.get("metrics", ()):
        loudest.setdefault(one["service"], one)
    nodes = list(reversed(paths[0]))
    return tuple(
        {"service": name, "metric": loudest.get(name), "cause": index == 0, "alert": index == len(nodes) - 1}
        for index, name in enumerate(nodes)
    )


def hidden(whole: Mapping[str, Any]) -> tuple[str, ...]:
    """What Stanch could not see, and why: part of the answer, not a footnote."""
    checks = [
        f"{one['check'].replace('_', ' ')}: {one['summary']}"
        for one in whole["evidence"]
        if one["status"] == "not_visible"
    ]
    named = {one["check"] for one in whole["evidence"] if one["status"] == "not_visible"}
    unanswered = [f"{name.replace('_', ' ')}: no answer" for name in whole["not_visible"] if name not in named]
    services = [f"{name}: no series to judge" for name in (whole["ranking"] or {}).get("not_visible", ())]
    target = [
        f"{one['what']}: {one['why']}" for one in ((whole["proposal"] or {}).get("facts") or {}).get("not_visible", ())
    ]
    return tuple(dict.fromkeys((*checks, *unanswered, *services, *target)))
