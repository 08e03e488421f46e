"""What speaks against each service: unusual series, less what its neighbours on the call graph explain.

Latency and errors travel from callee to caller, traffic from caller to callee. Latency that a caller sees as a client
and no callee shows as a server arises on the way: it is charged to the callee whose callers all see it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from causal.kind import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal.graph import ServiceGraph
    from causal.series import SeriesName

USUAL = 0.7  # scores up to log1p(1) are what normal life shows; a tenth of them is kept to break ties
_LOUD = 4.0  # log1p of about 50 deviations: beyond that, louder says little more
_SAME = {Kind.LATENCY, Kind.CLIENT_LATENCY}  # several series of these show one thing: two of them must agree
_SEVERAL = 3
_WAITING = 0.5  # part of a service's latency evidence that its client side must show to explain it


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each sort of evidence counts beside a service's own resources, latency and errors, which count 1."""

    host: float = 0.3  # a machine that others share
    traffic: float = 0.5  # that no caller's traffic explains
    way: float = 1.5  # latency on the way to a service
    unknown: float = 0.5  # latency as a client, of callees nobody declared
    second: float = 0.3  # a service's second piece of evidence
    third: float = 0.15
    counted: float = 4.0  # its share of the time or errors added to the alert; evidence is on a log scale


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Finding:
    """`by_kind`: evidence of each sort, ≥ 0. `explained_by`: the callee that shows the same symptom as strongly.

    `waits_for`: the callees on the way to which its time may have gone, 1 = the likeliest.
    """

    score: float
    by_kind: Mapping[str, float] = field(default_factory=dict)
    explained_by: str | None = None
    waits_for: Mapping[str, float] = field(default_factory=dict)


def weigh(
    names: Sequence[SeriesName],
    scores: Sequence[float],
    shifts: Sequence[float],
    graph: ServiceGraph,
    weights: Weights = WEIGHTS,
) -> dict[str, Finding]:
    """`scores`, `shifts`: one a series, from anomaly.judge; services without a judged series are left out."""
    seen = _Seen.of(names, scores, shifts)
    own = {service: _own(service, seen, graph, weights) for service in seen.services}
    lost = {service: _lost_calls(service, seen, graph) for service in seen.services}
    client = {s: _unexplained_client(s, seen, graph) for s in seen.services if graph.callees.get(s)}
    rise = {s: seen.up(s, Kind.CLIENT_LATENCY) for s in client}
    way = {s: _on_the_way(s, client, rise, graph) for s in seen.services}
    findings = {}
    for service in seen.services:
        by_kind = own[service] | {
            "way": weights.way * way[service],
            "stopped calling": weights.traffic
            * max((lost.get(c, 0.0) for c in graph.callees.get(service, ())), default=0.0),
        }
        votes = sorted(by_kind.values(), reverse=True)
        score = sum(vote * weight for vote, weight in zip(votes, (1.0, weights.second, weights.third), strict=False))
        findings[service] = Finding(
            score, by_kind, _explained_by(service, seen, graph), _waits_for(service, seen, client, way, graph)
        )
    return findings


def _most(amounts: Mapping[str, float], services: Sequence[str]) -> float:
    return max((amounts.get(service, 0.0) for service in services), default=0.0)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The strongest evidence of each kind at each service, and which way it went."""

    level: Mapping[tuple[str, Kind], float]
    rose: Mapping[tuple[str, Kind], bool]
    services: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[SeriesName], scores: Sequence[float], shifts: Sequence[float]) -> _Seen:
        found: dict[tuple[str, Kind], list[tuple[float, bool]]] = {}
        for name, score, shift in zip(names, scores, shifts, strict=True):
            if not math.isnan(score):
                loud = min(score, _LOUD) + 0.1 * max(0.0, score - _LOUD)
                strength = max(0.1 * score, loud - USUAL)
                found.setdefault((name.service, kind_of(name.metric)), []).append((strength, shift > 0))
        level, rose = {}, {}
        for key, series in found.items():
            series.sort(reverse=True)
            level[key], rose[key] = series[key[1] in _SAME and len(series) >= _SEVERAL]
        return cls(level, rose, tuple(sorted({service for service, _ in level})))

    def get(self, service: str, kind: Kind) -> float:
        return self.level.get((service, kind), 0.0)

    def up(self, service: str, kind: Kind) -> float:
        return self.get(service, kind) if self.rose.get((service, kind)) else 0.0

    def errors(self, service: str) -> float:
        return max(self.up(service, Kind.ERRORS), self.get(service, Kind.SUCCESS))


def _own(service: str, seen: _Seen, graph: ServiceGraph, weights: Weights) -> dict[str, float]:
    callees, callers = graph.callees.get(service, ()), graph.callers.get(service, ())
    below = max((seen.get(c, Kind.LATENCY) for c in callees), default=0.0)
    client = seen.get(service, Kind.CLIENT_LATENCY)
    return {
        "resource": seen.get(service, Kind.RESOURCE),
        "host": weights.host * seen.get(service, Kind.HOST),
        "latency": max(0.0, seen.get(service, Kind.LATENCY) - max(below, client)),
        "errors": max(0.0, seen.errors(service) - max((seen.errors(c) for c in callees), default=0.0)),
        "client latency": 0.0 if callees else weights.unknown * client,
        "traffic": 0.0 if callers else weights.traffic * seen.get(service, Kind.TRAFFIC),
    }


def _lost_calls(service: str, seen: _Seen, graph: ServiceGraph) -> float:
    """Change of traffic that no caller's own traffic explains: a caller behaves differently."""
    callers = graph.callers.get(service, ())
    explained = max((seen.get(c, Kind.TRAFFIC) for c in callers), default=0.0)
    return max(0.0, seen.get(service, Kind.TRAFFIC) - explained) if callers else 0.0


def _unexplained_client(service: str, seen: _Seen, graph: ServiceGraph) -> float:
    below = max((seen.get(c, Kind.LATENCY) for c in graph.callees.get(service, ())), default=0.0)
    return max(0.0, seen.up(service, Kind.CLIENT_LATENCY) - below)


def _on_the_way(service: str, client: Mapping[str, float], rise: Mapping[str, float], graph: ServiceGraph) -> float:
    """Unexplained client latency of the callers, as far as all of them see it and nobody else does."""
    callers = [c for c in graph.callers.get(service, ()) if c in client]
    risen = [rise[c] for c in callers]
    if not callers or max(risen) == 0:
        return 0.0
    shared = sum(risen) / len(risen) / max(risen)
    covered = sum(risen) / sum(rise.values())
    return float(max(client[c] for c in callers) * shared * covered**0.5)


def _explained_by(service: str, seen: _Seen, graph: ServiceGraph) -> str | None:
    """The callee that shows the latency or errors of this service at least as strongly."""
    for strength in (lambda s: seen.get(s, Kind.LATENCY), seen.errors):
        callee = max(graph.callees.get(service, ()), key=strength, default=None)
        if callee is not None and 0 < strength(service) <= strength(callee):
            return callee
    return None


def _waits_for(
    service: str, seen: _Seen, client: Mapping[str, float], way: Mapping[str, float], graph: ServiceGraph
) -> Mapping[str, float]:
    """When this service waits as a client and no callee is slow as a server: the callees that may be hard to reach."""
    if client.get(service, 0.0) <= _WAITING * seen.get(service, Kind.LATENCY):
        return {}
    hard = {c: way[c] for c in graph.callees.get(service, ()) if way.get(c, 0.0) > 0}
    return {callee: amount / max(hard.values()) for callee, amount in hard.items()}
