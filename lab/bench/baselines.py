"""What ranking by metrics is measured against, written compactly: each takes a case and names services, best first.

Sources: NSigma and BARO's robust scorer as in Pham et al. (FSE 2024), one-sided maxima, a series constant on either
side dropped; ranked correlation and traversal as in the PetShop benchmark (Hardt et al. 2024); CIRCA as in Li et al.
2022, with a given graph only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal.kind import Kind, kind_of
from causal.series import SeriesName, quantiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from causal.series import Floats, Frame
    from lab.bench.cases import Case

ANOMALOUS = 3.0  # sigmas


def nsigma(case: Case) -> list[str]:
    normal, fault = _sides(case)
    return _services(case.frame, _loudest((fault - _mean(normal)) / _std(normal), normal, fault))


def robust_scorer(case: Case) -> list[str]:
    """BARO without its own search for the time: median and interquartile range."""
    normal, fault = _sides(case)
    low, middle, high = quantiles(normal, 0.25, 0.5, 0.75)
    spread = np.where(high > low, high - low, np.nan)
    return _services(case.frame, _loudest((fault - middle) / spread, normal, fault))


def ranked_correlation(case: Case) -> list[str]:
    """Rank correlation with the alerting series over the whole case, among the same KPI of services beyond 3 sigmas."""
    goal = SeriesName.parse(case.target) if case.target else None
    data = case.frame.column(goal) if goal else None
    if goal is None or data is None:
        return []
    series = _series(case.frame, kind_of(goal.metric), goal.metric)
    loud = _by_service(case, kind_of(goal.metric), goal.metric)
    scores = {service: _spearman(series[service], data) for service in series if loud[service] > ANOMALOUS}
    scores.pop(goal.service, None)
    calm = [service for service in series if service not in scores]
    return sorted(scores, key=lambda service: -scores[service]) + sorted(calm, key=lambda service: -loud[service])


def traversal(case: Case) -> list[str]:
    """Anomalous services whose callees are calm, reached from the alert through anomalous ones; deepest first."""
    if not case.graph or not case.target:
        return []
    goal = SeriesName.parse(case.target)
    z = _by_service(case, kind_of(goal.metric), goal.metric)
    anomalous = {service for service, score in z.items() if score > ANOMALOUS}
    seen, waiting, ends = {goal.service}, [goal.service], []
    while waiting:
        here = waiting.pop()
        bad = [c for c in case.graph.callees.get(here, ()) if c in anomalous]
        if not bad:
            ends.append(here)
        waiting += [c for c in bad if c not in seen]
        seen |= set(bad)
    return sorted(ends, key=lambda service: -z.get(service, 0.0)) + sorted(seen - set(ends), key=lambda s: -z.get(s, 0))


def regression(case: Case) -> list[str]:
    """CIRCA's idea: each service's series regressed on its callees' in the normal period; largest residual first."""
    if not case.graph or not case.target:
        return []
    goal = SeriesName.parse(case.target)
    series = _series(case.frame, kind_of(goal.metric), goal.metric)
    at = _at(case)
    scores = {}
    for service, data in series.items():
        parents = [series[c] for c in case.graph.callees.get(service, ()) if c in series]
        design = np.nan_to_num(np.column_stack([np.ones(len(data)), *parents]))
        y = np.where(np.isfinite(data), data, np.nanmedian(data[:at]) if np.isfinite(data[:at]).any() else 0.0)
        weights = np.linalg.lstsq(design[:at], y[:at], rcond=1e-9)[0]
        rest = y - design @ weights
        spread = rest[:at].std()
        scores[service] = float(np.abs(rest[at:]).max() / spread) if spread > 0 else 0.0
    return sorted(scores, key=lambda service: -scores[service])


def alerting_service(case: Case) -> list[str]:
    return [SeriesName.parse(case.target).service] if case.target else []


BASELINES: dict[str, Callable[[Case], list[str]]] = {
    "nsigma": nsigma,
    "baro robust scorer": robust_scorer,
    "ranked correlation": ranked_correlation,
    "traversal": traversal,
    "circa regression": regression,
    "alerting service": alerting_service,
}


def _at(case: Case) -> int:
    start = case.inject_time if case.inject_time is not None else case.alert_time
    return int(np.searchsorted(case.frame.times, start if start is not None else case.frame.times[-1]))


def _sides(case: Case) -> tuple[Floats, Floats]:
    at = _at(case)
    return case.frame.values[:at], case.frame.values[at:]


def _filled(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, -np.inf)


def _mean(values: Floats) -> Floats:
    present = np.isfinite(values)
    return np.asarray(np.where(present, values, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1))


def _std(values: Floats) -> Floats:
    present = np.isfinite(values)
    squares = np.where(present, values - _mean(values), 0.0) ** 2
    spread = np.sqrt(squares.sum(axis=0) / np.maximum(present.sum(axis=0), 1))
    return np.asarray(np.where(spread > 0, spread, np.nan))


def _loudest(z: Floats, normal: Floats, fault: Floats) -> Floats:
    """The largest deviation of each series; those that stand still on either side are dropped, as in the original."""
    still = ~(_std(normal) > 0) | ~(_std(fault) > 0)
    return np.asarray(np.where(still, -np.inf, _filled(z).max(axis=0)))


def _services(frame: Frame, scores: Floats) -> list[str]:
    order: dict[str, None] = {}
    for j in np.argsort(-scores, kind="stable"):
        order.setdefault(frame.names[j].service)
    return list(order)


def _series(frame: Frame, kind: Kind, metric: str) -> dict[str, Floats]:
    """For each service its series of the alerting metric, else one of the same kind."""
    out: dict[str, Floats] = {}
    for j, name in enumerate(frame.names):
        if name.metric == metric or (kind_of(name.metric) is kind and name.service not in out):
            out[name.service] = frame.values[:, j]
    return out


def _by_service(case: Case, kind: Kind, metric: str) -> dict[str, float]:
    at, out = _at(case), {}
    for service, data in _series(case.frame, kind, metric).items():
        column = data[:, None]
        z = _filled(np.abs((column[at:] - _mean(column[:at])) / _std(column[:at])))
        out[service] = float(z.max())
    return out


def _spearman(x: Floats, y: Floats) -> float:
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < ANOMALOUS:
        return -np.inf
    ranks = [_ranks(side[both]) for side in (x, y)]
    spread = ranks[0].std() * ranks[1].std()
    return float(abs(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / spread)) if spread else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks with ties at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Sequence[float] = (ends - (counts - 1) / 2).tolist()
    return np.asarray(means, dtype=np.float64)[inverse]
