"""Incidents replayed: does the agent name the right cause in the right place, does it act right, and how fast.

Every figure stands beside what a rule of thumb would have got on the same cases, with an interval: Wilson's for a
share, for a mean time the 95 % of a bootstrap over families, since cases of one family are no independent evidence.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from agent.replay.case import HARMLESS
from agent.replay.play import play
from agent.replay.utility import CAP_S, HAND_OVER_S
from connectors.runbooks import skills as read_skills
from lab.bench.baselines import nsigma
from lab.recordings import library
from lab.recordings.full import as_rank_case, recomputed
from lab.recordings.generate import Generator, families_of, sides
from lab.recordings.splits import SPLITS, side_of
from lab.recordings.topology import TOPOLOGIES

if TYPE_CHECKING:
    from agent.replay.case import Case
    from agent.replay.play import Played
    from agent.runbook.skill import Skill
    from lab.recordings.recording import Recording

Z = 1.959964  # two-sided 95 %
DRAWS = 2_000
CASES = 400
"""A split. A restricted mean with a coefficient of variation of 0.9 is then known to about 10 %."""

Row = dict[str, Any]
Method = Callable[["Case"], "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a method says of a case. None: it says nothing. harm and wrong_fix only where it acts."""

    component: str | None
    mechanism: str | None
    component_right: bool
    mechanism_right: bool
    acted: bool = False
    wrong_fix: bool = False
    diagnose_s: float | None = None
    mitigate_s: float = CAP_S
    mitigated: bool = False
    utility: float | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """seconds, cpu_seconds: of a replay. first_cpu_seconds: with answers still to be made, None: they never were."""

    case: Case
    verdict: Verdict
    seconds: float
    cpu_seconds: float
    first_cpu_seconds: float | None = None


@click.command(
    "incidents",
    epilog="\b\nExamples:\n  stanch bench incidents\n  stanch bench incidents --json --cases 1000 > incidents.jsonl\n"
    "  stanch bench incidents --full\n  stanch bench incidents --live --faults missing-index --runs 3",
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of a table.")
@click.option("--cases", type=click.IntRange(1), default=CASES, show_default=True, help="Generated incidents a split.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first incident; they are numbered on.")
@click.option(
    "--recordings", type=click.Path(file_okay=False, path_type=Path), default=None, help="Stanch's by default."
)
@click.option(
    "--skills", "folder", type=click.Path(exists=True, path_type=Path), default=None, help="Stanch's by default."
)
@click.option("--full", is_flag=True, help="Also work out checks and rankings anew from what was recorded.")
@click.option("--live", is_flag=True, help="In a running lab instead, with instant approval: minutes, not seconds.")
@click.option("--faults", default="", help="With --live: names, separated by commas.")
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="With --live: of each fault.")
def incidents(
    *,
    as_json: bool,
    cases: int,
    seed: int,
    recordings: Path | None,
    folder: Path | None,
    full: bool,
    live: bool,
    faults: str,
    runs: int,
) -> None:
    """Replay incidents of the lab: cause, fix and time, by split and by stratum, beside baselines."""
    if live:
        from lab.bench.incidents_live import live as in_the_lab  # noqa: PLC0415 brings a lab up

        names = [name.strip() for name in faults.split(",") if name.strip()]
        for row in in_the_lab(names or None, runs, _progress):
            click.echo(json.dumps(row, allow_nan=False))
        return
    found = library.read(recordings)
    skills = read_skills() if folder is None else read_skills(folder)
    for row in measured(found, skills, cases=cases, seed=seed, full=full):
        click.echo(json.dumps(row, allow_nan=False) if as_json else in_words(row))


def measured(
    recordings: Sequence[Recording], skills: Mapping[str, Skill], *, cases: int, seed: int, full: bool
) -> Iterator[Row]:
    """A row a split, method and stratum; a row a fault; the conditions first."""
    yield _conditions(recordings, skills, cases, seed)
    methods = _methods(recordings, skills)
    plain = [recording.case() for recording in recordings]
    yield from _split_rows("recorded", plain, methods)
    yield from _fault_rows(plain, methods["stanch"])
    for split in SPLITS:
        families = families_of(recordings, split)
        if not families:
            _progress(f"{split}: no recording can play any of its families")
            continue
        _progress(f"{split}: {cases} incidents of {len(families)} families")
        generator = Generator(recordings, families)
        yield from _split_rows(split, balanced(generator, cases, seed), methods)
    if full:
        yield _full_row(recordings, skills)


def balanced(generator: Generator, count: int, seed: int) -> list[Case]:
    """Each family in turn, so that none weighs more than another; which comes moves with the seed as everywhere."""
    names = generator.families
    return [generator.case(seed + at, names[at % len(names)]) for at in range(count)]


# --- Methods -------------------------------------------------------------------------------------------------------


def _methods(recordings: Sequence[Recording], skills: Mapping[str, Skill]) -> Mapping[str, Method]:
    loudest = {recording.id: _loudest(recording) for recording in recordings}
    usual = _most_frequent(recordings)

    def stanch(case: Case) -> Verdict:
        return _of(play(case, skills))

    def alerting(case: Case) -> Verdict:
        return _named(case, case.service, None)

    def frequent(case: Case) -> Verdict:
        component, mechanism = usual
        topology = TOPOLOGIES[str(case.differs.get("topology", "shop"))]
        return _named(case, topology.text(component), mechanism)

    def by_sigmas(case: Case) -> Verdict:
        topology = TOPOLOGIES[str(case.differs.get("topology", "shop"))]
        first = loudest.get(str(case.differs.get("recording", case.id)))
        return _named(case, None if first is None else topology.text(first), None)

    return {"stanch": stanch, "alerting service": alerting, "most frequent cause": frequent, "nsigma": by_sigmas}


def _of(played: Played) -> Verdict:
    return Verdict(
        component=played.component,
        mechanism=played.cause,
        component_right=played.component_right,
        mechanism_right=played.mechanism_right,
        acted=played.acted,
        wrong_fix=played.wrong_fix,
        diagnose_s=played.diagnose_s,
        mitigate_s=played.mitigate_s,
        mitigated=played.mitigated,
        utility=played.utility,
    )


def _named(case: Case, component: str | None, mechanism: str | None) -> Verdict:
    """What only names: it takes no time and mends nothing, but who is told right hands over as elsewhere."""
    truth = case.truth
    right = {(truth.component, truth.mechanism), *truth.also}
    told = (component, mechanism) in right and truth.action is None
    return Verdict(
        component=component,
        mechanism=mechanism,
        component_right=component in {where for where, _ in right},
        mechanism_right=mechanism in {what for _, what in right},
        diagnose_s=0.0,
        mitigate_s=HAND_OVER_S if told else CAP_S,
        mitigated=told,
    )


def _most_frequent(recordings: Sequence[Recording]) -> tuple[str, str]:
    """(component, mechanism) most often true where one may learn from."""
    cases = [recording.case() for recording in recordings]
    side = sides(cases)
    learnt = [case.truth for case in cases if side[case.id] == side_of("train")] or [case.truth for case in cases]
    counted = Counter((truth.component, truth.mechanism) for truth in learnt)
    return min(counted, key=lambda pair: (-counted[pair], pair))


def _loudest(recording: Recording) -> str | None:
    case = as_rank_case(recording)
    if case is None or not float(case.frame.times[0]) < recording.alert.active_at <= float(case.frame.times[-1]):
        return None
    order = nsigma(case)
    return order[0] if order else None


# --- Rows ----------------------------------------------------------------------------------------------------------


def _conditions(recordings: Sequence[Recording], skills: Mapping[str, Skill], cases: int, seed: int) -> Row:
    return {
        "kind": "conditions",
        "recordings": len(recordings),
        "faults": len({recording.fault for recording in recordings}),
        "families": {split: len(families_of(recordings, split)) for split in SPLITS},
        "skills": sorted(skills),
        "cases": cases,
        "seed": seed,
        "load": [round(one, 2) for one in os.getloadavg()],
        "yardstick_cpu_ms": _yardstick_cpu_ms(),
        "cap_s": CAP_S,
        "hand_over_s": HAND_OVER_S,
    }


def _yardstick_cpu_ms(times: int = 15) -> float:
    """What this machine takes, at this hour, to add up the numbers below 100,000: to compare cpu_ms by."""
    took = []
    for _ in range(times):
        began = time.process_time()
        sum(range(100_000))
        took.append(time.process_time() - began)
    return round(1000 * float(np.median(took)), 3)


def _split_rows(split: str, cases: Sequence[Case], methods: Mapping[str, Method]) -> Iterator[Row]:
    for name, method in methods.items():
        scored = [_timed(case, method) for case in cases]
        yield _row("result", split, "all", name, scored)
        if name != "stanch":
            continue
        strata = sorted({stratum for case in cases for stratum in case.strata} - {"recorded"})
        for stratum in strata:
            yield _row("result", split, stratum, name, [one for one in scored if stratum in one.case.strata])


def _fault_rows(cases: Sequence[Case], method: Method) -> Iterator[Row]:
    by_fault: dict[str, list[Scored]] = defaultdict(list)
    for case in cases:
        by_fault[case.truth.fault].append(_timed(case, method))
    for fault, scored in sorted(by_fault.items()):
        yield _row("fault", "recorded", fault, "stanch", scored)


def _timed(case: Case, method: Method) -> Scored:
    """Twice: a generated incident makes its answers when they are first asked for, which is no part of a replay."""
    began_cpu = time.process_time()
    method(case)
    first_cpu_s = time.process_time() - began_cpu
    began, began_cpu = time.perf_counter(), time.process_time()
    verdict = method(case)
    return Scored(case, verdict, time.perf_counter() - began, time.process_time() - began_cpu, first_cpu_s)


def _row(kind: str, split: str, stratum: str, method: str, scored: Sequence[Scored]) -> Row:
    acted = [one for one in scored if one.verdict.acted]
    harmless = [one for one in scored if one.case.truth.mechanism in HARMLESS]
    diagnosed = [one.verdict.diagnose_s for one in scored if one.verdict.diagnose_s is not None]
    utilities = [one.verdict.utility for one in scored if one.verdict.utility is not None]
    first = [one.first_cpu_seconds for one in scored if one.first_cpu_seconds is not None]
    return {
        "kind": kind,
        "split": split,
        "stratum": stratum,
        "method": method,
        "cases": len(scored),
        "families": len({one.case.family for one in scored}),
        "component": share([one.verdict.component_right for one in scored]),
        "mechanism": share([one.verdict.mechanism_right for one in scored]),
        "both": share([one.verdict.component_right and one.verdict.mechanism_right for one in scored]),
        "acted": len(acted),
        "wrong_fixes": share([one.verdict.wrong_fix for one in acted]),
        "actions_on_harmless": sum(one.verdict.acted for one in harmless),
        "harmless": len(harmless),
        "abstained": share([one.verdict.mechanism is None for one in scored]),
        "mitigated": share([one.verdict.mitigated for one in scored]),
        "diagnose_s_median": _quantile(diagnosed, 0.5),
        "diagnose_s_p90": _quantile(diagnosed, 0.9),
        "mitigate_s": mean_by_family(scored),
        "mitigate_s_median": _quantile([one.verdict.mitigate_s for one in scored], 0.5),
        "utility": None if not utilities else round(float(np.mean(utilities)), 4),
        "ms": round(1000 * float(np.mean([one.seconds for one in scored])), 3) if scored else None,
        "cpu_ms": round(1000 * float(np.mean([one.cpu_seconds for one in scored])), 3) if scored else None,
        "first_cpu_ms": round(1000 * float(np.mean(first)), 3) if first else None,
        "ms_p95": _quantile([1000 * one.seconds for one in scored], 0.95),
    }


def share(held: Sequence[bool]) -> Row:
    """With Wilson's interval; share null of nothing."""
    n, k = len(held), sum(held)
    if n == 0:
        return {"of": 0, "right": 0, "share": None, "low": None, "high": None}
    p = k / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * float(np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))) / (1 + Z**2 / n)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return {"of": n, "right": k, "share": round(p, 4), "low": round(low, 4), "high": round(high, 4)}


def mean_by_family(scored: Sequence[Scored]) -> Row:
    """Restricted mean of the time to mitigate; its interval by drawing families with replacement."""
    if not scored:
        return {"mean": None, "low": None, "high": None}
    by_family: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        by_family[one.case.family].append(one.verdict.mitigate_s)
    sums = np.array([sum(times) for times in by_family.values()])
    counts = np.array([len(times) for times in by_family.values()])
    drawn = np.random.default_rng(0).integers(0, len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(sums.sum() / counts.sum())
    return {"mean": round(mean, 1), "low": round(float(low), 1), "high": round(float(high), 1)}


def _quantile(values: Sequence[float], q: float) -> float | None:
    return round(float(np.quantile(values, q)), 3) if values else None


def _full_row(recordings: Sequence[Recording], skills: Mapping[str, Skill]) -> Row:
    """Answers worked out anew beside those recorded, and what the agent makes of them."""
    _progress("full: checks and rankings anew")
    same, asked, alike = 0, 0, 0
    scored: list[Scored] = []
    for recording in recordings:
        began, began_cpu = time.perf_counter(), time.process_time()
        case = recomputed(recording)
        played = play(case, skills)
        took = time.perf_counter() - began, time.process_time() - began_cpu
        scored.append(Scored(case, _of(played), *took))
        alike += played.cause == play(recording.case(), skills).cause
        for name, said in recording.answers.items():
            anew = case.answers[name]
            asked += len(anew)
            same += sum(one.status == other.status for one, other in zip(said, anew, strict=False))
    row = _row("full", "recorded", "all", "stanch", scored)
    return row | {"answers": asked, "answers_alike": same, "conclusions_alike": alike}


_TITLES = "{:10} {:28} {:19} {:>5} {:>17} {:>17} {:>5} {:>5} {:>4} {:>18} {:>7}".format(
    *("split", "stratum", "method", "cases", "mechanism", "component", "acted", "wrong", "harm", "mitigate s", "cpu ms")
)


def in_words(row: Row) -> str:
    if row["kind"] == "conditions":
        families = ", ".join(f"{number} {split}" for split, number in row["families"].items())
        head = f"{row['recordings']} recordings of {row['faults']} faults; families: {families}; load {row['load'][0]}"
        titles = (
            "split",
            "stratum",
            "method",
            "cases",
            "mechanism",
            "component",
            "acted",
            "wrong",
            "harm",
            "mitigate s",
        )
        return f"{head}\n" + "{:10} {:28} {:19} {:>5} {:>17} {:>17} {:>5} {:>5} {:>4} {:>18} {:>7}".format(
            *titles, "ms"
        )
    mechanism, component, time_s = row["mechanism"], row["component"], row["mitigate_s"]
    kind = "full" if row["kind"] == "full" else row["split"]
    return (
        f"{kind:10} {row['stratum']:28} {row['method']:19} {row['cases']:5} {_in_words(mechanism):>17}"
        f" {_in_words(component):>17} {row['acted']:5} {row['wrong_fixes']['right']:5} {row['actions_on_harmless']:4}"
        f" {time_s['mean'] or 0:6.0f} [{time_s['low'] or 0:4.0f}-{time_s['high'] or 0:4.0f}] {row['cpu_ms'] or 0:7.2f}"
    )


def _in_words(found: Mapping[str, Any]) -> str:
    if found["share"] is None:
        return "-"
    return f"{found['share']:.2f} [{found['low']:.2f}-{found['high']:.2f}]"


def _progress(line: str) -> None:
    click.echo(line, err=True)
