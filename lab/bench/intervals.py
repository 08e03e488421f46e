"""Intervals that know where the incidents come from: runs, then families, then incidents, each drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """estimate: on the incidents as they are; low and high: the middle 95 % of the draws. not_above, not_below: share
    of the draws that is not above, not below zero, never quite none: one-sided p-values.
    """

    estimate: float
    low: float
    high: float
    not_above: float
    not_below: float


def resampled(families: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS) -> np.ndarray:
    """How often each incident is drawn, (draws, incidents): families with replacement, then incidents within each."""
    names = np.asarray(families)
    groups = [np.flatnonzero(names == name) for name in sorted(set(families))]
    times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws)
    weights = np.zeros((draws, len(names)), dtype=np.float32)
    for place, group in enumerate(groups):
        inside = rng.multinomial(times[:, place] * len(group), np.full(len(group), 1 / len(group)))
        weights[:, group] = inside
    return weights


def reduction(before: np.ndarray, after: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Interval:
    """1 minus the ratio of means. before: (incidents,), after: (runs, incidents) on the same incidents; weights: of
    resampled, to which a draw of the runs is added here.
    """
    old, new = weights @ before, _of_drawn_runs(after, weights, rng)
    return _interval(1 - float(after.mean() / before.mean()), 1 - new / old)


def difference(before: np.ndarray, after: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Interval:
    """Mean of after minus mean of before; shapes as for reduction."""
    old, new = weights @ before, _of_drawn_runs(after, weights, rng)
    return _interval(float(after.mean() - before.mean()), (new - old) / weights.sum(axis=1))


def _of_drawn_runs(after: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    by_run = weights @ after.T
    chosen = rng.integers(len(after), size=(len(weights), len(after)))
    return np.asarray(np.take_along_axis(by_run, chosen, axis=1).mean(axis=1))


def _interval(estimate: float, found: np.ndarray) -> Interval:
    low, high = np.quantile(found, (0.025, 0.975))
    above, below = ((int(count) + 1) / (len(found) + 1) for count in ((found <= 0).sum(), (found >= 0).sum()))
    return Interval(estimate, float(low), float(high), above, below)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted by Holm's step-down (1979): each may be read as if it were the only one."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        worst = max(worst, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = worst
    return adjusted
