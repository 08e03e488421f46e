"""What each service adds to the alert by itself, where that can be counted.

Time and errors add up along calls: mean latency times requests is the time a service spends, its callees' time
included, and errors are passed on to callers. So a service's own change is its total less its callees' totals. Nothing
is fitted. It needs a call graph and, for both ends of calls, mean latency (or errors) and traffic in the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal.kind import Kind, is_mean, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal.graph import ServiceGraph
    from causal.series import Floats, SeriesName

NULL_WINDOWS = 64
NULL_QUANTILE = 0.95
NEW = 0.05  # called in less of the normal samples than this, a service is new
OTHER_UNIT = 20.0  # times its caller's whole time


@dataclass(frozen=True, slots=True)
class OwnChange:
    """Per service ≥ 0: what it added during the fault beyond its normal noise (seconds or errors a sample).

    `noise`: what the alerting service's total does in normal life (the leading service's, when none is alerting).
    """

    added: Mapping[str, float]
    noise: float


def own_change(
    names: Sequence[SeriesName], normal: Floats, fault: Floats, graph: ServiceGraph, *, kind: Kind, entry: str | None
) -> OwnChange | None:
    """`kind`: LATENCY counts seconds, ERRORS counts errors. None when fewer than two linked services can be counted."""
    columns = _columns(names, kind)
    lost = {service: _lost(normal, fault, *where) for service, where in columns.items()}
    calls = {s: [c for c in graph.callees.get(s, ()) if c in columns] for s in columns}
    calls = {s: [c for c in callees if _same_unit(normal, columns[s], columns[c])] for s, callees in calls.items()}
    if not any(calls.values()):
        return None
    added, noise = {}, {}
    for service, callees in calls.items():
        before, during = lost[service]
        alone = (before - sum(lost[c][0] for c in callees), during - sum(lost[c][1] for c in callees))
        noise[service] = _noise(before, len(fault))
        own = min(_excess(before, during, noise[service]), _excess(*alone, _noise(alone[0], len(fault))))
        added[service] = max(0.0, own)
    _charge_new_callees(added, columns, normal, fault, graph)
    most = max(added, key=lambda service: added[service])
    return OwnChange(added, noise[entry] if entry in noise else noise[most])


def _columns(names: Sequence[SeriesName], kind: Kind) -> dict[str, tuple[int, int, Kind]]:
    """For each service the columns of its level and its traffic."""
    level: dict[str, tuple[int, Kind]] = {}
    traffic: dict[str, int] = {}
    for j, name in enumerate(names):
        found = kind_of(name.metric)
        if found is Kind.TRAFFIC:
            traffic.setdefault(name.service, j)
        elif (kind is Kind.LATENCY and found is Kind.LATENCY and is_mean(name.metric)) or (
            kind is Kind.ERRORS and found is Kind.SUCCESS
        ):
            level.setdefault(name.service, (j, found))
    return {s: (j, traffic[s], found) for s, (j, found) in level.items() if s in traffic}


def _lost(normal: Floats, fault: Floats, level: int, traffic: int, kind: Kind) -> tuple[Floats, Floats]:
    """Seconds or errors a sample beyond the usual level of a request, before and after: (time,) each.

    Per request, so that a surge adds nothing; a sample without requests adds nothing either.
    """
    before, during = normal[:, level], fault[:, level]
    if kind is Kind.SUCCESS:
        highest = np.max(before, initial=0.0, where=np.isfinite(before))
        whole = 100.0 if highest > 1.5 else 1.0  # noqa: PLR2004  percent or fraction
        before, during = 1.0 - before / whole, 1.0 - during / whole
    known = before[np.isfinite(before)]
    usual = _centre(known) if known.size else 0.0
    products = ((before - usual) * normal[:, traffic], (during - usual) * fault[:, traffic])
    clean = [np.where(np.isfinite(product), product, 0.0) for product in products]
    return clean[0], clean[1]


def _same_unit(normal: Floats, caller: tuple[int, int, Kind], callee: tuple[int, int, Kind]) -> bool:
    """A callee whose requests take many times its callers' whole time works apart from them, or in another unit."""
    if caller[2] is Kind.SUCCESS:
        return True
    spent = []
    for level, traffic, _ in (caller, callee):
        product = normal[:, level] * normal[:, traffic]
        spent.append(float(np.median(np.where(np.isfinite(product), product, 0.0))))
    return spent[0] == 0 or spent[1] <= OTHER_UNIT * spent[0]


def _excess(normal: Floats, fault: Floats, noise: float) -> float:
    return float(fault.mean()) - _centre(normal) - noise


def _centre(values: Floats) -> float:
    """Mean with the outer tenth drawn in: latency leans to one side, and a median would call that a change."""
    ranked = np.sort(values)
    edge = ranked.size // 20
    inner = ranked[edge : ranked.size - edge]
    return float((inner.sum() + edge * (inner[0] + inner[-1])) / ranked.size)


def _noise(normal: Floats, width: int) -> float:
    """How far means over windows of normal life stray from its centre; windows short enough to differ."""
    width = max(1, min(width, len(normal) // 8))
    sums = np.concatenate(([0.0], np.cumsum(normal)))
    starts = np.unique(np.linspace(0, len(normal) - width, NULL_WINDOWS).astype(int))
    means = (sums[starts + width] - sums[starts]) / width
    return float(np.quantile(np.abs(means - _centre(normal)), NULL_QUANTILE))


def _charge_new_callees(
    added: dict[str, float],
    columns: Mapping[str, tuple[int, int, Kind]],
    normal: Floats,
    fault: Floats,
    graph: ServiceGraph,
) -> None:
    """A service that nobody called before the fault is a change in those who call it now."""
    for service, (_, traffic, _) in columns.items():
        callers = [c for c in graph.callers.get(service, ()) if c in added]
        if callers and (normal[:, traffic] > 0).mean() < NEW and (fault[:, traffic] > 0).mean() > 2 * NEW:
            for caller in callers:
                added[caller] += added[service] / len(callers)
            added[service] = 0.0
