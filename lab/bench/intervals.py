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
    """estimate: on the incidents as they are; low and high: the middle 95 % of the draws."""

    estimate: float
    low: float
    high: float


def reduction(
    before: np.ndarray, after: np.ndarray, families: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS
) -> Interval:
    """1 minus the ratio of means. before: (incidents,), after: (runs, incidents) on the same incidents."""
    found = np.empty(draws)
    for draw, weights in enumerate(_weights(families, rng, draws)):
        runs = rng.integers(len(after), size=len(after))
        found[draw] = 1 - float((after[runs] @ weights).mean() / (before @ weights))
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(1 - float(after.mean() / before.mean()), float(low), float(high))


def difference(
    before: np.ndarray, after: np.ndarray, families: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS
) -> Interval:
    """Mean of after minus mean of before; shapes as for reduction."""
    found = np.empty(draws)
    for draw, weights in enumerate(_weights(families, rng, draws)):
        runs = rng.integers(len(after), size=len(after))
        found[draw] = float(((after[runs] @ weights).mean() - before @ weights) / weights.sum())
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(float(after.mean() - before.mean()), float(low), float(high))


def _weights(families: Sequence[str], rng: np.random.Generator, draws: int) -> list[np.ndarray]:
    """How often each incident is drawn: families with replacement, then incidents within each with replacement."""
    names = np.asarray(families)
    groups = [np.flatnonzero(names == name) for name in sorted(set(families))]
    chosen = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws)
    weights = [np.zeros(len(names)) for _ in range(draws)]
    for place, group in enumerate(groups):
        times = chosen[:, place]
        inside = rng.multinomial(times * len(group), np.full(len(group), 1 / len(group)))
        for draw in np.flatnonzero(times):
            weights[draw][group] = inside[draw]
    return weights
