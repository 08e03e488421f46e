"""Asks everything at once what an agent could ask of a broken lab, through the same ports and the same checks."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.causal_check import Around, pull, ranked, seen, told
from agent.database.checks import CHECKS, WINDOW_S
from agent.database.classes import CLASSES
from agent.database.limits import Limits
from agent.database.readings import merged
from agent.metric_checks import METRIC_CHECKS, Change, ask, recent_change
from agent.ports import NoData
from agent.replay.case import Said
from causal.report import as_data
from connectors.unreachable import Unreachable
from lab.recordings.recording import Line, MetricFamily, Samples
from lab.recordings.tape import SharedLook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.causal_check import Metric
    from agent.database.reader import TargetReader
    from agent.metric_checks import Answer
    from agent.ports import Metrics
    from connectors.target.diagnose import Diagnosis

BEFORE_S = 30.0
"""Seen of the time before the impact. Shorter than live (90 s): it must not reach back into the incident before."""
RANKED_SHOWN = 8
DIGITS = 5
"""Of a sample: float32 has seven, and no scrape of a second is as exact."""


@dataclass(frozen=True, slots=True)
class Look:
    """answers by question; tape: what the target's reader said (lab.recordings.tape); at: when it began, epoch s."""

    at: float
    answers: Mapping[str, Said]
    tape: Mapping[str, Any]


def look(reader: Callable[[], Diagnosis], metrics: Metrics, around: Around) -> Look:
    """One look at everything, in about WINDOW_S and what the questions take. around.end is set to now."""
    at = time.time()
    around = replace(around, end=datetime.fromtimestamp(at, UTC))
    with ThreadPoolExecutor(max_workers=2) as beside:
        database = beside.submit(_database, reader)
        answers = of_metrics(metrics, around, seed=0)
        found, tape = database.result()
    return Look(at, answers | found, tape)


# --- The target ----------------------------------------------------------------------------------------------------


def _database(reader: Callable[[], Diagnosis]) -> tuple[dict[str, Said], dict[str, Any]]:
    began = time.perf_counter()
    try:
        with reader() as first, reader() as second:
            return _checked(first, second)
    except Unreachable as error:
        took_s = time.perf_counter() - began
        hidden = Said("not_visible", f"could not be checked: {error}"[:200], {}, round(took_s, 3))
        return {f"database:{name}": hidden for name in CHECKS}, {}


def _checked(first: Diagnosis, second: Diagnosis) -> tuple[dict[str, Said], dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=1) as beside:
        sample = beside.submit(_timed, lambda: second.workload(WINDOW_S))
        readings, readings_s = _timed(lambda: first.readings(ALL_READINGS, WINDOW_S, Limits()))
        workload, workload_s = sample.result()
    shared = SharedLook(first, readings, workload)
    per_reading_s = max(0.0, readings_s - WINDOW_S) / len(ALL_READINGS)
    taken_s = {"workload_sample": workload_s}
    for name, one in CLASSES.items():
        taken_s[name] = (WINDOW_S if one.needs_window else 0.0) + per_reading_s * len(one.reads)
    return asked(shared, taken_s), shared.tape


ALL_READINGS = merged(*(one.reads for one in CLASSES.values()))


def asked(reader: TargetReader, taken_s: Mapping[str, float] | None = None) -> dict[str, Said]:
    """Every named check of the database. taken_s: seconds that the check would have taken by itself for what it found
    there already.
    """
    answers: dict[str, Said] = {}
    known: dict[str, Any] = {}
    for name, check in CHECKS.items():
        began = time.perf_counter()
        try:
            observed = check.run(reader, known)
            status, summary, data = observed.status, observed.summary, plain(observed.data)
            known[name] = observed.data
        except Unreachable as error:
            status, summary, data = "not_visible", f"could not be checked: {error}"[:200], {}
        seconds = time.perf_counter() - began + (taken_s or {}).get(name, 0.0)
        answers[f"database:{name}"] = Said(status, summary, data, round(seconds, 3))
    return answers


# --- The metrics ---------------------------------------------------------------------------------------------------


def of_metrics(metrics: Metrics, around: Around, *, seed: int) -> dict[str, Said]:
    """The metric checks, the changes and the causal ranking."""
    answers: dict[str, Said] = {}
    for name, (_, kinds) in METRIC_CHECKS.items():
        answers[f"metrics:{name}"] = _answered(lambda n=name, k=kinds: ask(n, seen(metrics, around, k)))  # type: ignore[misc]  # bound now
    services = _reachable(around)
    answers["changes:recent_change"] = _answered(lambda: recent_change(around.changes, services, around.impact_start))
    answers |= _rankings(metrics, around, seed)
    return answers


def _rankings(metrics: Metrics, around: Around, seed: int) -> dict[str, Said]:
    began = time.perf_counter()
    try:
        frame, target = pull(metrics, around)
    except Unreachable as error:
        hidden = Said("not_visible", f"could not be checked: {error}"[:200], {}, 0.1)
        return {f"causal:{query}": hidden for query in CAUSAL_QUERIES}
    if frame is None:
        nothing = Said("not_visible", "no metric has samples round the alert", {}, 0.1)
        return {f"causal:{query}": nothing for query in CAUSAL_QUERIES}
    ranking = ranked(around, frame, target, seed=seed)
    data = as_data(ranking) | {"target": target}
    data["metrics"] = data["metrics"][:RANKED_SHOWN]
    seconds = round(time.perf_counter() - began, 3)
    found = {query: told(around, query, ranking, data) for query in CAUSAL_QUERIES}
    return {f"causal:{query}": Said(one.status, one.summary, plain(one.data), seconds) for query, one in found.items()}


CAUSAL_QUERIES = ("target_leads", "any_leads")


def _answered(answer: Callable[[], Answer]) -> Said:
    began = time.perf_counter()
    try:
        said = answer()
    except Unreachable as error:
        return Said("not_visible", f"could not be checked: {error}"[:200], {}, 0.1)
    return Said(said.status, said.summary, plain(said.data), round(time.perf_counter() - began, 3))


def _reachable(around: Around) -> tuple[str, ...]:
    """The alert's service and what it calls, nearest first: whose changes count."""
    order = [around.service] if around.service else []
    for one in order:
        order += [callee for caller, callee in around.graph if caller == one and callee not in order]
    return tuple(order)


def samples(metrics: Metrics, around: Around, expr_query: str, wanted: Sequence[Metric]) -> Samples:
    """The configured families and the alert's signal over the window, as few digits as matter."""
    families = tuple(_family(metrics, around, one.name, one.kind, one.query, one.service_label) for one in wanted)
    signal = _family(metrics, around, "signal", "other", expr_query, "service")
    counts = {len(line.values) for family in (*families, signal) for line in family.lines}
    count = min(counts, default=0)
    cut = [replace(one, lines=tuple(replace(x, values=x.values[:count]) for x in one.lines)) for one in families]
    signal = replace(signal, lines=tuple(replace(line, values=line.values[:count]) for line in signal.lines))
    return Samples(float(round(around.start.timestamp())), around.step_s, count, tuple(cut), signal)


def _family(metrics: Metrics, around: Around, name: str, kind: Any, query: str, label: str) -> MetricFamily:
    found = metrics.query_range(query, around.start, around.end, around.step_s)
    lines = () if isinstance(found, NoData) else found
    return MetricFamily(
        name,
        kind,
        query,
        label,
        tuple(Line(dict(one.labels), tuple(_short(float(value)) for value in one.values)) for one in lines),
    )


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def plain(value: Any) -> Any:
    """JSON-ready: what is no number becomes null, a tuple a list, a moment its text."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return value


def elsewhere(value: Any, place: str) -> Any:
    """A copy in which the lab lies at /lab: where it lay on the machine that recorded it is nobody's business."""
    match value:
        case str():
            return value.replace(place, "/lab")
        case dict():
            return {str(key): elsewhere(item, place) for key, item in value.items()}
        case list() | tuple():
            return [elsewhere(item, place) for item in value]
        case _:
            return value


def window_before(active_at: float) -> datetime:
    return datetime.fromtimestamp(active_at, UTC) - timedelta(seconds=BEFORE_S)


def _timed(read: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return read(), time.perf_counter() - began


def changes_of(announced: Sequence[Any]) -> tuple[Change, ...]:
    return tuple(
        Change(one.service, one.version or None, one.summary, datetime.fromtimestamp(one.at, UTC)) for one in announced
    )
