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
OTHER_UNIT = 20.0  # a callee that spends this many times its callers' time works apart from them, or in another unit


@dataclass(frozen=True, slots=True)
class OwnChange:
    """Per service ≥ 0: what it added during the fault beyond its normal noise (seconds or errors a sample).

    `noise`: what the alerting service's total does by itself, in the same unit.
    """

    added: Mapping[str, float]
    noise: float


def own_change(
    names: Sequence[SeriesName], normal: Floats, fault: Floats, graph: ServiceGraph, *, kind: Kind, entry: str | None
) -> OwnChange | None:
    """`kind`: LATENCY counts seconds, ERRORS counts errors. None when fewer than two linked services can be counted."""
    columns = _columns(names, kind)
    before = {service: _total(normal, *where) for service, where in columns.items()}
    during = {service: _total(fault, *where) for service, where in columns.items()}
    calls = {s: [c for c in graph.callees.get(s, ()) if c in columns and _same_unit(before, s, c)] for s in columns}
    if not any(calls.values()):
        return None
    added = {}
    for service, callees in calls.items():
        total = _excess(before[service], during[service])
        alone = _excess(
            before[service] - sum(before[c] for c in callees), during[service] - sum(during[c] for c in callees)
        )
        added[service] = max(0.0, min(total, alone))
    _charge_new_callees(added, columns, normal, fault, graph)
    noise = _noise(before[entry], len(fault)) if entry in before else 0.0
    return OwnChange(added, noise)


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


def _total(values: Floats, level: int, traffic: int, kind: Kind) -> Floats:
    """Seconds or errors a sample: (time,); a sample without requests adds nothing."""
    share = values[:, level]
    if kind is Kind.SUCCESS:
        highest = np.max(share, initial=0.0, where=np.isfinite(share))
        share = 1.0 - share / (100.0 if highest > 1.5 else 1.0)  # noqa: PLR2004  percent or fraction
    product = share * values[:, traffic]
    return np.where(np.isfinite(product), product, 0.0)


def _same_unit(before: Mapping[str, Floats], caller: str, callee: str) -> bool:
    above, below = float(np.median(before[caller])), float(np.median(before[callee]))
    return above == 0 or below <= OTHER_UNIT * above


def _excess(normal: Floats, fault: Floats) -> float:
    return float(fault.mean() - np.median(normal)) - _noise(normal, len(fault))


def _noise(normal: Floats, width: int) -> float:
    """How far means over windows of normal life stray from its median."""
    width = min(width, len(normal))
    sums = np.concatenate(([0.0], np.cumsum(normal)))
    starts = np.unique(np.linspace(0, len(normal) - width, NULL_WINDOWS).astype(int))
    means = (sums[starts + width] - sums[starts]) / width
    return float(np.quantile(np.abs(means - np.median(normal)), NULL_QUANTILE))


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
