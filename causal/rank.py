"""Which service did it: rank the services round an alert by how likely each is the cause.

Three steps: how unusual is each series (anomaly), what of that do neighbours on the call graph explain (evidence), and,
where seconds and errors can be counted, how much did each service add to the alert by itself (flow). Which steps apply
is read off the data. When nothing stands out, the answer abstains and still ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal import anomaly, changepoint, evidence, flow
from causal.confidence import CONFIDENT, Circumstances, probability
from causal.graph import ServiceGraph
from causal.kind import Kind, kind_of
from causal.series import SeriesName, UnusableInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal.changepoint import ChangePoint
    from causal.evidence import Finding, Weights
    from causal.series import Frame

MIN_NORMAL = 10  # samples before the change
MAX_NORMAL, MAX_FAULT = 4096, 1024  # samples looked at on each side of the change
_BEFORE_ALERT_S, _BEFORE_ALERT_STEPS = 900.0, 12  # an alert follows its cause within this, whichever is longer
_MARGIN_S = 120.0  # a given fault time may be this far off
_OBSERVER, _UNREACHABLE = 0.1, 0.4  # what is left of a score
_NONE = 1.5  # the score that "none of these" has among those that are not first
_MAX_RULED_OUT = 5
_MANY = 5  # services, from which a pattern among them means something
_SYMPTOMS = frozenset({Kind.LATENCY, Kind.ERRORS, Kind.SUCCESS, Kind.TRAFFIC})


@dataclass(frozen=True, slots=True)
class RankedService:
    service: str
    probability: float
    score: float


@dataclass(frozen=True, slots=True)
class RankedMetric:
    """`before`, `during`: medians on the two sides of the change; `shift`: mean deviation in robust sigmas, signed."""

    service: str
    metric: str
    score: float
    before: float
    during: float
    shift: float


@dataclass(frozen=True, slots=True)
class RuledOut:
    service: str
    why: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """Best first; each service once. `paths`: calls from the alert's service to a leading cause, where known.

    `change` is None when no moment divides the series; `not_visible` are services without a series to judge.
    """

    abstained: bool
    confidence: float
    services: tuple[RankedService, ...]
    metrics: tuple[RankedMetric, ...]
    change: ChangePoint | None
    ruled_out: tuple[RuledOut, ...]
    not_visible: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]


def rank(
    frame: Frame,
    *,
    inject_time: float | None = None,
    alert_time: float | None = None,
    target: str | None = None,
    graph: ServiceGraph | None = None,
    seed: int = 0,
    weights: Weights = evidence.WEIGHTS,
) -> Ranking:
    """Rank the causes of what changed at `inject_time` (epoch seconds), or at the change found before `alert_time`.

    `target`: the alerting series, `service|metric`. Without `graph` the calls that metric labels name are taken.
    Everything here is deterministic; `seed` breaks exact ties.
    Raises UnusableInput when the frame is empty; too little data is an abstention.
    """
    if frame.values.size == 0:
        raise UnusableInput("no samples to rank")
    graph = graph or ServiceGraph.from_metrics(name.metric for name in frame.names)
    change = _change(frame, inject_time, alert_time)
    if change is None:
        return _nothing(frame, graph, None)
    split = _split(frame, change)
    if split is None:
        return _nothing(frame, graph, change)
    normal, fault = split
    before, during = anomaly.coarsen(normal.values, fault.values)
    seen = anomaly.judge(before, during, _own_traffic(frame.names))
    metrics = _metrics(frame.names, seen, seed)
    if not metrics:
        return _nothing(frame, graph, change)
    entry = SeriesName.parse(target).service if target else None
    shift = seen.shift.tolist()
    findings = evidence.weigh(frame.names, seen.score.tolist(), shift, graph, weights)
    shares = _handed_on(_shares(normal, fault, graph, target), findings)
    scores, ruled_out = _scores(findings, shares, graph, entry, frame.names, weights)
    order = sorted(scores, key=lambda service: (-scores[service], service))
    sure = probability(
        Circumstances(
            first=scores[order[0]],
            second=scores[order[1]] if len(order) > 1 else 0.0,
            evidence=findings[order[0]].score,
            usual=_usual(frame.names, seen, graph, entry),
            counted=shares.get(order[0], 0.0),
            target=next((m.score for m in metrics if f"{m.service}|{m.metric}" == target), None),
        )
    )
    services = _probabilities(order, scores, sure)
    metrics = tuple(sorted(metrics, key=lambda m: -(m.score + scores[m.service])))
    hidden = tuple(sorted((set(frame.services) | graph.services) - set(findings)))
    paths = _paths(graph, entry, services[:3])
    return Ranking(sure < CONFIDENT, sure, services, metrics, change, ruled_out, hidden, paths)


def _change(frame: Frame, inject_time: float | None, alert_time: float | None) -> ChangePoint | None:
    """The change near the given fault time, which may be off; else the largest shortly before the alert."""
    if inject_time is None:
        if alert_time is None:
            return changepoint.estimate(frame)
        since = alert_time - max(_BEFORE_ALERT_S, _BEFORE_ALERT_STEPS * frame.step_s)
        return changepoint.estimate(frame, since=since, until=alert_time) or changepoint.estimate(frame)
    found = changepoint.estimate(frame, since=inject_time - _MARGIN_S, until=inject_time + _MARGIN_S)
    return found or changepoint.ChangePoint(inject_time, inject_time, inject_time)


def _split(frame: Frame, change: ChangePoint) -> tuple[Frame, Frame] | None:
    """Normal life and the fault, or None when one of them has too few samples."""
    end, start = (int(np.searchsorted(frame.times, time, side="left")) for time in (change.low, change.time))
    if end < MIN_NORMAL or start >= len(frame.times):
        return None
    return frame.rows(max(0, end - MAX_NORMAL), end), frame.rows(start, min(len(frame.times), start + MAX_FAULT))


def _own_traffic(names: tuple[SeriesName, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each series that traffic can explain, the column of its service's traffic; else -1."""
    traffic: dict[str, int] = {}
    for j, name in enumerate(names):
        if kind_of(name.metric) is Kind.TRAFFIC:
            traffic.setdefault(name.service, j)
    explains = {Kind.RESOURCE, Kind.LATENCY, Kind.CLIENT_LATENCY}
    return np.array([traffic.get(n.service, -1) if kind_of(n.metric) in explains else -1 for n in names])


def _metrics(names: tuple[SeriesName, ...], seen: anomaly.Anomalies, seed: int) -> tuple[RankedMetric, ...]:
    tie = np.random.default_rng(seed).random(len(names)) if seed else np.zeros(len(names))
    judged = [j for j in range(len(names)) if np.isfinite(seen.score[j])]
    judged.sort(key=lambda j: (-round(float(seen.score[j]), 9), tie[j], names[j].metric, names[j].service))
    columns = (seen.score.tolist(), seen.before.tolist(), seen.during.tolist(), seen.shift.tolist())
    return tuple(RankedMetric(names[j].service, names[j].metric, *(column[j] for column in columns)) for j in judged)


def _shares(normal: Frame, fault: Frame, graph: ServiceGraph, target: str | None) -> Mapping[str, float]:
    """How much of what can be counted each service added, 1 = the most, times how far that is beyond noise."""
    if not graph:
        return {}
    goal = SeriesName.parse(target) if target else None
    entry = goal.service if goal else None
    wanted = kind_of(goal.metric) if goal else None
    kinds = [Kind.LATENCY] * (wanted not in {Kind.ERRORS, Kind.SUCCESS}) + [Kind.ERRORS] * (wanted is not Kind.LATENCY)
    shares: dict[str, float] = {}
    for kind in kinds:
        found = flow.own_change(normal.names, normal.values, fault.values, graph, kind=kind, entry=entry)
        most = max(found.added.values(), default=0.0) if found else 0.0
        if found and most > 0:
            beyond = (most / (most + found.noise)) ** 0.5
            for service, added in found.added.items():
                shares[service] = max(shares.get(service, 0.0), beyond * added / most)
    return shares


def _handed_on(shares: Mapping[str, float], findings: Mapping[str, Finding]) -> Mapping[str, float]:
    """Time that a service lost on the way to a callee counts there."""
    out = dict(shares)
    for service, finding in findings.items():
        if finding.waits_for and service in out:
            share = out.pop(service)
            for callee, part in finding.waits_for.items():
                out[callee] = max(out.get(callee, 0.0), share * part)
    return out


def _scores(
    findings: Mapping[str, Finding],
    shares: Mapping[str, float],
    graph: ServiceGraph,
    entry: str | None,
    names: tuple[SeriesName, ...],
    weights: Weights = evidence.WEIGHTS,
) -> tuple[dict[str, float], tuple[RuledOut, ...]]:
    """A score a service, and why a loud one does not count."""
    reach = graph.reachable(entry) if entry in graph.services and entry is not None else {}
    scores, ruled_out = {}, {}
    for service, finding in findings.items():
        score = finding.score + weights.counted * shares.get(service, 0.0)
        if reach and service != entry and graph.callees.get(service) and not graph.callers.get(service):
            score *= _OBSERVER
            ruled_out[service] = "nobody calls it: it is a client of what it sees"
        elif service == entry and _is_probe(service, graph, names):
            score *= _OBSERVER
            ruled_out[service] = "it only watches the others"
        elif len(reach) > 1 and service not in reach:
            score *= _UNREACHABLE
            ruled_out[service] = f"{entry} does not depend on it"
        elif finding.explained_by is not None and shares.get(service, 0.0) < shares.get(finding.explained_by, 1.0):
            ruled_out[service] = f"its callee {finding.explained_by} changed as much: it passes the change on"
        scores[service] = score
    loudest = max(scores.values())
    order = sorted(ruled_out, key=lambda s: (-findings[s].score, s))
    kept = [s for s in order if scores[s] < loudest][:_MAX_RULED_OUT]
    return scores, tuple(RuledOut(service, ruled_out[service]) for service in kept)


def _is_probe(service: str, graph: ServiceGraph, names: tuple[SeriesName, ...]) -> bool:
    """An alerting service outside the graph that shows symptoms only, where the others show what they run on too."""
    if graph:
        return service not in graph.services
    inside = {name.service for name in names if kind_of(name.metric) not in _SYMPTOMS}
    others = {name.service for name in names} - {service}
    return service not in inside and len(others) >= _MANY and len(inside) >= 0.8 * len(others)


def _usual(names: tuple[SeriesName, ...], seen: anomaly.Anomalies, graph: ServiceGraph, entry: str | None) -> float:
    """What the loudest service of a window of normal life scores: the median over the windows."""
    shift = seen.shift.tolist()
    loudest = []
    for window in seen.usual.tolist():
        scores, _ = _scores(evidence.weigh(names, window, shift, graph), {}, graph, entry, names)
        loudest.append(max(scores.values()))
    return float(np.median(loudest))


def _probabilities(order: list[str], scores: Mapping[str, float], first: float) -> tuple[RankedService, ...]:
    """The first has the probability given; the others and `none of these` share the rest by their scores."""
    weight = np.exp(np.array([scores[s] for s in order[1:]] + [_NONE]) - scores[order[0]])
    rest = np.minimum((1.0 - first) * weight / weight.sum(), first)
    chance = [first, *rest[:-1].tolist()]
    return tuple(RankedService(service, p, float(scores[service])) for service, p in zip(order, chance, strict=True))


def _paths(graph: ServiceGraph, entry: str | None, leading: tuple[RankedService, ...]) -> tuple[tuple[str, ...], ...]:
    if entry is None:
        return ()
    found = (graph.path(entry, candidate.service) for candidate in leading)
    return tuple(path for path in found if len(path) > 1)


def _nothing(frame: Frame, graph: ServiceGraph, change: ChangePoint | None) -> Ranking:
    """An abstention on too little data: every service is equally unlikely."""
    services = frame.services
    even = 1.0 / (len(services) + 1)
    ranked = tuple(RankedService(service, even, 0.0) for service in services)
    hidden = tuple(sorted(set(services) | graph.services))
    return Ranking(True, 0.0, ranked, (), change, (), hidden, ())
