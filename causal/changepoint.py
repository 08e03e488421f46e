"""When it began: the moment that best divides the series into before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal.series import quantiles

if TYPE_CHECKING:
    from causal.series import Floats, Frame

MIN_BEFORE = 10  # samples of normal life without which nothing can be called unusual
_CLIP = 8.0  # one wild sample may not place the change
_LOOKED_AT, _AFTER = 20_000, 1_024  # samples, of them after the latest possible change
_SERIES = 200  # the series that moved most place it


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Epoch seconds: the first changed sample, and the span in which it lies (times that fit nearly as well)."""

    time: float
    low: float
    high: float


def estimate(frame: Frame, *, since: float = -np.inf, until: float = np.inf) -> ChangePoint | None:
    """One common step in mean over all series, by least squares on clipped robust z.

    The first changed sample is looked for in since ≤ time ≤ until; None when that leaves no sample with MIN_BEFORE
    samples before it. Source of the criterion: a break common to many series (Bai 2010,
    https://doi.org/10.1016/j.jeconom.2009.10.020).
    """
    first = max(MIN_BEFORE, int(np.searchsorted(frame.times, since, side="left")))
    last = min(int(np.searchsorted(frame.times, until, side="right")), len(frame.times)) - 1
    if last < first:
        return None
    stop = min(len(frame.times), last + 1 + _AFTER)
    start = max(0, stop - _LOOKED_AT)
    frame, first, last = frame.rows(start, stop), max(MIN_BEFORE, first - start), last - start
    gain = _gain(_standardised(frame.values), first, last)
    best = int(np.argmax(gain))
    near = np.flatnonzero(gain >= gain[best] * 0.95)
    times = frame.times[first : last + 1]
    return ChangePoint(float(times[best]), float(times[near[0]]), float(times[near[-1]]))


def _standardised(values: Floats) -> Floats:
    """Clipped robust z of the series with the largest late movement, no data as 0."""
    low, median, high = quantiles(values, 0.1, 0.5, 0.9)
    scale = (high - low) / 2.563
    spread = np.nanmax(np.abs(np.where(np.isfinite(values), values - median, 0.0)), axis=0)
    scale = np.where(scale > 0, scale, spread / 4)
    moving = np.flatnonzero(np.isfinite(scale) & (scale > 0))
    z = (values[:, moving] - median[moving]) / scale[moving]
    z = np.clip(np.where(np.isfinite(z), z, 0.0), -_CLIP, _CLIP)
    reach = np.abs(z).max(axis=0, initial=0.0)
    return np.asarray(z[:, np.argsort(-reach, kind="stable")[:_SERIES]])


def _gain(z: Floats, first: int, last: int) -> Floats:
    """Fall of the squared error for a break before each sample first..last, summed over series."""
    n = len(z)
    total = np.cumsum(z, axis=0)
    before = np.arange(first, last + 1)
    left = total[before - 1]
    right = total[-1] - left
    gain = (left**2 / before[:, None]) + (right**2 / (n - before)[:, None]) - total[-1] ** 2 / n
    return np.asarray(gain.sum(axis=1))
