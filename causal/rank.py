"""Which service did it: rank the services round an alert by how likely each is the cause.

A service's own evidence is its most unusual series. What a caller shows is explained by its callees as far as they
show it too, so on a call graph only what a service adds by itself counts. When nothing stands out, the answer abstains
and still ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal import anomaly, changepoint
from causal.graph import ServiceGraph
from causal.series import SeriesName, UnusableInput

if TYPE_CHECKING:
    from causal.changepoint import ChangePoint
    from causal.series import Frame

CONFIDENT = 0.5  # below this the answer abstains
MIN_NORMAL = 10  # samples before the change
MAX_NORMAL, MAX_FAULT = 4096, 1024  # samples looked at on each side of the change
_MARGIN_S = 120.0  # a given fault time may be this far off
_EXPLAINED = 0.8  # part of a caller's anomaly that an equally anomalous callee explains
_VOTES = (1.0, 0.3, 0.15)  # of a service's most unusual series
_SHARPNESS = 6.0  # of the probabilities, per unit of score
_NONE = 1.1  # the score that "none of these" has: what a healthy system's loudest series reaches


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
) -> Ranking:
    """Rank the causes of what changed at `inject_time` (epoch seconds), or at the change found before `alert_time`.

    `target`: the alerting series, `service|metric`. Everything here is deterministic; `seed` breaks exact ties.
    Raises UnusableInput when the frame is empty; too little data is an abstention.
    """
    if frame.values.size == 0:
        raise UnusableInput("no samples to rank")
    graph = graph or ServiceGraph()
    change = _change(frame, inject_time, alert_time)
    if change is None:
        return _nothing(frame, graph, None)
    split = _split(frame, change)
    if split is None:
        return _nothing(frame, graph, change)
    normal, fault = split
    seen = anomaly.judge(normal.values, fault.values)
    metrics = _metrics(frame, seen, seed)
    if not metrics:
        return _nothing(frame, graph, change)
    entry = SeriesName.parse(target).service if target else None
    scores, ruled_out = _services(metrics, graph, entry)
    services, abstained, confidence = _probabilities(scores)
    visible = {metric.service for metric in metrics}
    every = set(frame.services) | graph.services
    paths = _paths(graph, entry, services[:3])
    hidden = tuple(sorted(every - visible))
    return Ranking(abstained, confidence, services, metrics, change, ruled_out, hidden, paths)


def _change(frame: Frame, inject_time: float | None, alert_time: float | None) -> ChangePoint | None:
    """The change near the given fault time, which may be off by the margin; else the largest before the alert."""
    if inject_time is None:
        return changepoint.estimate(frame, until=np.inf if alert_time is None else alert_time)
    found = changepoint.estimate(frame, since=inject_time - _MARGIN_S, until=inject_time + _MARGIN_S)
    return found or changepoint.ChangePoint(inject_time, inject_time, inject_time)


def _split(frame: Frame, change: ChangePoint) -> tuple[Frame, Frame] | None:
    """Normal life and the fault, or None when one of them has too few samples."""
    end, start = (int(np.searchsorted(frame.times, time, side="left")) for time in (change.low, change.time))
    if end < MIN_NORMAL or start >= len(frame.times):
        return None
    return frame.rows(max(0, end - MAX_NORMAL), end), frame.rows(start, min(len(frame.times), start + MAX_FAULT))


def _metrics(frame: Frame, seen: anomaly.Anomalies, seed: int) -> tuple[RankedMetric, ...]:
    tie = np.random.default_rng(seed).random(len(frame.names)) if seed else np.zeros(len(frame.names))
    judged = [j for j in range(len(frame.names)) if np.isfinite(seen.score[j])]
    judged.sort(key=lambda j: (-round(float(seen.score[j]), 9), tie[j], frame.names[j].metric, frame.names[j].service))
    return tuple(
        RankedMetric(
            frame.names[j].service,
            frame.names[j].metric,
            float(seen.score[j]),
            float(seen.before[j]),
            float(seen.during[j]),
            float(seen.shift[j]),
        )
        for j in judged
    )


def _services(
    metrics: tuple[RankedMetric, ...], graph: ServiceGraph, entry: str | None
) -> tuple[dict[str, float], tuple[RuledOut, ...]]:
    """A score a service, and why a loud one does not count."""
    own: dict[str, list[float]] = {}
    for metric in metrics:
        own.setdefault(metric.service, []).append(metric.score)
    loud = {
        service: sum(s * w for s, w in zip(scores, (1.0, 0.3, 0.15), strict=False)) for service, scores in own.items()
    }
    ceiling = max(loud.values())
    scores, ruled_out = {}, []
    reach = graph.reachable(entry) if entry is not None else {}
    for service, score in loud.items():
        guilty = max(
            ((loud[callee], callee) for callee in graph.callees.get(service, ()) if callee in loud), default=(0.0, "")
        )
        mine = score - _EXPLAINED * min(guilty[0], score)
        if score > ceiling / 2 and mine < score / 2:
            ruled_out.append(RuledOut(service, f"its callee {guilty[1]} changed as much: it passes the change on"))
        elif len(reach) > 1 and service not in reach:
            ruled_out.append(RuledOut(service, f"{entry} does not depend on it"))
            mine *= 0.4
        scores[service] = mine
    return scores, tuple(sorted(ruled_out, key=lambda r: -loud[r.service]))


def _probabilities(scores: dict[str, float]) -> tuple[tuple[RankedService, ...], bool, float]:
    """Softmax over the services and `none of these`; the answer abstains when the best one is not likely enough."""
    order = sorted(scores, key=lambda service: -scores[service])
    weight = np.exp(_SHARPNESS * (np.array([scores[s] for s in order] + [_NONE]) - scores[order[0]]))
    chance = weight / weight.sum()
    ranked = tuple(
        RankedService(service, float(p), float(scores[service])) for service, p in zip(order, chance[:-1], strict=True)
    )
    confidence = ranked[0].probability
    return ranked, confidence < CONFIDENT, confidence


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
