"""How much of the alert each leading cause accounts for, in the alerting series' own unit.

The one place that knows dowhy, loaded inside the call: it costs seconds and hundreds of megabytes. It explains and does
not rank (docs/causal.md says with figures why). The model is linear and small: the alerting series and one series of
each leading service, with the calls between them as the causal order.
"""

from __future__ import annotations

import random
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causal.series import SeriesName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from causal.graph import ServiceGraph
    from causal.rank import Ranking
    from causal.series import Floats, Frame

MAX_CANDIDATES = 4
MAX_ROWS = 300  # of normal life, those nearest to the change
MIN_NORMAL, MIN_FAULT = 20, 2
BOOTSTRAPS = 200  # refits on resampled rows: the interval spans their 5 % to 95 %
PLACEBOS = 40  # windows of normal life that must not show what the fault shows
SIGNIFICANCE = 0.05
_ALIKE = 0.5
_DRAWS = 200  # samples of the fitted distribution behind one Shapley value


@dataclass(frozen=True, slots=True)
class Share:
    """One candidate's part of the target's change, in the target's unit.

    `low`, `high`: 90 % bootstrap interval. `placebo`: share of fault-free windows where the part is as large;
    `refuted` when that is above 5 % or the interval holds zero.
    """

    series: SeriesName
    effect: float
    low: float
    high: float
    placebo: float
    refuted: bool


@dataclass(frozen=True, slots=True)
class Attribution:
    """Parts add up to `change`, the mean of the target during the fault less its mean before."""

    target: SeriesName
    change: float
    shares: tuple[Share, ...]
    unexplained: float


@dataclass(frozen=True, slots=True)
class NotAttributed:
    reason: str


def preload() -> None:
    """Import dowhy, and statsmodels with it, now: better spent before the first incident than in it."""
    with _quiet(0):
        import statsmodels.api  # noqa: F401, PLC0415


def attribute(
    frame: Frame, ranking: Ranking, graph: ServiceGraph, target: str, seed: int = 0
) -> Attribution | NotAttributed:
    """Shapley attribution of the target's mean deviation (dowhy.gcm, Budhathoki et al. 2022,
    https://proceedings.mlr.press/v162/budhathoki22a.html) to the leading services, with interval and placebo test.

    `target`: `service|metric`. Too little data, no change point or an unknown target come back as NotAttributed.
    """
    goal = SeriesName.parse(target)
    if ranking.change is None:
        return NotAttributed("no change point: there is nothing to compare")
    if goal not in frame.names:
        return NotAttributed(f"the alerting series {goal} is not among the series")
    nodes = _candidates(ranking, goal)
    if not nodes:
        return NotAttributed("no candidate beside the alerting series could be judged")
    at = int(np.searchsorted(frame.times, ranking.change.time))
    before = int(np.searchsorted(frame.times, ranking.change.low))
    columns = [frame.names.index(node) for node in (*nodes, goal)]
    normal = _complete(frame.values[max(0, before - MAX_ROWS) : before][:, columns])
    fault = _complete(frame.values[at : at + MAX_ROWS][:, columns])
    if len(normal) < MIN_NORMAL or len(fault) < MIN_FAULT:
        return NotAttributed(
            f"too few complete samples: {len(normal)} before (at least {MIN_NORMAL}), {len(fault)} after ({MIN_FAULT})"
        )
    moving = [j for j in range(len(nodes)) if np.ptp(np.concatenate((normal[:, j], fault[:, j]))) > 0]
    if not moving or np.ptp(normal[:, -1]) + np.ptp(fault[:, -1]) == 0:
        return NotAttributed("the series do not move")
    keep = [*moving, len(nodes)]
    edges = _edges([nodes[j] for j in moving], goal, graph)
    return _shares([nodes[j] for j in moving], goal, normal[:, keep], fault[:, keep], edges, seed=seed)


def _candidates(ranking: Ranking, goal: SeriesName) -> list[SeriesName]:
    """One series of each leading service: the target's own metric when it moved nearly as much as the loudest."""
    loudest: dict[str, SeriesName] = {}
    level: dict[str, float] = {}
    for metric in ranking.metrics:
        name = SeriesName(metric.service, metric.metric)
        if name == goal:
            continue
        if loudest.setdefault(name.service, name) == name:
            level[name.service] = metric.score
        elif name.metric == goal.metric and metric.score >= _ALIKE * level[name.service]:
            loudest[name.service] = name
    leading = [service.service for service in ranking.services if service.service in loudest]
    return [loudest[service] for service in leading[:MAX_CANDIDATES]]


def _edges(nodes: Sequence[SeriesName], goal: SeriesName, graph: ServiceGraph) -> list[tuple[int, int]]:
    """Cause → effect as positions, the target last. A callee comes before its callers; a cycle is cut by distance."""
    reach = {node: graph.reachable(node.service) for node in nodes}
    depth = graph.reachable(goal.service)
    edges = [(i, len(nodes)) for i in range(len(nodes))]
    for i, cause in enumerate(nodes):
        for j, effect in enumerate(nodes):
            farther = depth.get(cause.service, 0) > depth.get(effect.service, 0)
            if i != j and farther and cause.service in reach[effect]:
                edges.append((i, j))
    return edges


def _complete(rows: Floats) -> Floats:
    """Rows with a value for the target; a hole of a candidate is filled with its median."""
    rows = rows[np.isfinite(rows[:, -1])]
    for j in range(rows.shape[1] if len(rows) else 0):
        hole = ~np.isfinite(rows[:, j])
        if hole.all():
            rows[:, j] = 0.0
        elif hole.any():
            rows[hole, j] = np.median(rows[~hole, j])
    return rows


def _shares(
    nodes: Sequence[SeriesName],
    goal: SeriesName,
    normal: Floats,
    fault: Floats,
    edges: list[tuple[int, int]],
    *,
    seed: int,
) -> Attribution:
    """All parts with interval and placebo; `normal`, `fault`: (rows, nodes), the target last."""
    rng = np.random.default_rng(seed)
    # Unit spread keeps the regressions well conditioned; the effects are turned back into the target's unit.
    scale = np.concatenate((normal, fault)).std(axis=0)
    scale[scale == 0] = 1.0
    normal, fault = normal / scale, fault / scale
    width = min(len(fault), max(1, len(normal) // 4))
    starts = rng.integers(0, len(normal) - width + 1, PLACEBOS)
    windows = np.stack([fault.mean(axis=0)] + [normal[s : s + width].mean(axis=0) for s in starts])
    found = _linear_effects(normal, fault, windows, edges)
    with _quiet(int(rng.integers(2**31))):
        found[0] = _effects(normal, fault, windows[:1], edges)[0]
    resampled = [(_resample(normal, rng), _resample(fault, rng)) for _ in range(BOOTSTRAPS)]
    again = np.stack([_linear_effects(a, b, b.mean(axis=0, keepdims=True), edges)[0] for a, b in resampled])
    unit = float(scale[-1])
    low, high = np.quantile(again, (0.05, 0.95), axis=0) * unit
    placebo = (np.abs(found[1:]) >= np.abs(found[0])).mean(axis=0)
    shares = [
        Share(
            node,
            float(found[0, j]) * unit,
            float(low[j]),
            float(high[j]),
            float(placebo[j]),
            bool(placebo[j] > SIGNIFICANCE or low[j] <= 0 <= high[j]),
        )
        for j, node in enumerate(nodes)
    ]
    shares.sort(key=lambda share: -abs(share.effect))
    change = float(fault[:, -1].mean() - normal[:, -1].mean()) * unit
    return Attribution(goal, change, tuple(shares), change - sum(share.effect for share in shares))


def _resample(rows: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(rows[rng.integers(0, len(rows), len(rows))])


def _linear_effects(normal: Floats, fault: Floats, windows: Floats, edges: list[tuple[int, int]]) -> Floats:
    """The same parts in closed form, for the hundreds of refits behind interval and placebo: (windows, nodes).

    In a linear model a node's Shapley value is its total effect on the target times the deviation of its own noise; a
    test holds this to what dowhy returns.
    """
    nodes = normal.shape[1]
    rows = np.concatenate((normal, fault))
    weights = np.zeros((nodes, nodes))
    for node in range(nodes):
        parents = sorted(cause for cause, effect in edges if effect == node)
        if parents:
            design = np.column_stack((np.ones(len(rows)), rows[:, parents]))
            weights[node, parents] = np.linalg.lstsq(design, rows[:, node], rcond=1e-6)[0][1:]
    alone = np.eye(nodes) - weights
    return np.asarray(np.linalg.inv(alone)[-1] * ((windows - normal.mean(axis=0)) @ alone.T))


def _effects(normal: Floats, fault: Floats, windows: Floats, edges: list[tuple[int, int]]) -> Floats:
    """Each node's part of the target's deviation from normal life: (windows, nodes), the target's own part last.

    Mechanisms are fitted on all rows, since only the fault shows how far an effect reaches; the noise that stands for
    normal life is fitted on the normal rows alone.
    """
    import networkx as nx  # noqa: PLC0415  heavy, see the module's docstring
    import pandas as pd  # noqa: PLC0415
    from dowhy import gcm  # noqa: PLC0415

    class Level(gcm.anomaly_scorer.AnomalyScorer):  # type: ignore[misc]  # dowhy has no types
        """The value itself, so that contributions are in its unit."""

        def fit(self, X: Any) -> None: ...  # noqa: N803  dowhy's name

        def score(self, X: Any) -> Any:  # noqa: N803
            return np.asarray(X).reshape(-1)

    class Linear(gcm.ml.PredictionModel):  # type: ignore[misc]  # dowhy has no types
        """Least squares; a hundred times cheaper to call than a wrapped sklearn model."""

        weights: Floats

        def fit(self, X: Any, Y: Any) -> None:  # noqa: N803
            design = np.column_stack((np.ones(len(X)), X))
            self.weights = np.linalg.lstsq(design, np.asarray(Y), rcond=1e-6)[0]

        def predict(self, X: Any) -> Any:  # noqa: N803
            return self.weights[0] + X @ self.weights[1:]

        def clone(self) -> Any:
            return Linear()

    names = list(range(normal.shape[1]))
    model = gcm.InvertibleStructuralCausalModel(nx.DiGraph(edges))
    for node in names:
        caused = any(effect == node for _, effect in edges)
        noise = gcm.EmpiricalDistribution()
        model.set_causal_mechanism(node, gcm.AdditiveNoiseModel(Linear(), noise) if caused else noise)
    gcm.fitting_sampling.fit(model, pd.DataFrame(normal, columns=names), return_evaluation_summary=False)
    for node in names:
        _refit(model, node, edges, normal, fault)
    parts = gcm.attribute_anomalies(
        model,
        names[-1],
        anomaly_samples=pd.DataFrame(windows, columns=names),
        anomaly_scorer=Level(),
        attribute_mean_deviation=True,
        num_distribution_samples=_DRAWS,
        shapley_config=gcm.shapley.ShapleyConfig(n_jobs=1),
    )
    return np.stack([np.asarray(parts[node]) for node in names], axis=1)


def _refit(model: Any, node: int, edges: list[tuple[int, int]], normal: Floats, fault: Floats) -> None:
    parents = sorted(cause for cause, effect in edges if effect == node)
    if not parents:
        return
    mechanism = model.causal_mechanism(node)
    rows = np.concatenate((normal, fault))
    mechanism.prediction_model.fit(X=rows[:, parents], Y=rows[:, [node]])
    mechanism.noise_model.fit(X=mechanism.estimate_noise(normal[:, [node]], normal[:, parents]))


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Keep dowhy's progress bars and warnings off, and its global chance seed it, for this call only."""
    from dowhy import gcm  # noqa: PLC0415

    bars = gcm.config.show_progress_bars
    state, chance = np.random.get_state(), random.getstate()  # noqa: NPY002  the generator dowhy uses
    gcm.config.disable_progress_bars()
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        gcm.config.show_progress_bars = bars
        np.random.set_state(state)  # noqa: NPY002
        random.setstate(chance)
