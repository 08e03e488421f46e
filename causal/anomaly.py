"""How unusual each series is after the change, on a scale that every series sets for itself.

A bursty series is unusual every minute, so its excursion is divided by what the same statistic does in windows of
its own normal period. Rises and drops count alike, and a series that stood still before the fault is not thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal.series import quantiles

if TYPE_CHECKING:
    from causal.series import Floats

MIN_COVERAGE = 0.3  # a series with less data than this, before or after, is not judged
NULL_WINDOWS = 32  # windows of the normal period that say what is usual
NULL_QUANTILE = 0.95
NULL_FLOOR = 1.0  # what the statistic does on white noise: no series may look calmer than that
STILL = 10.0  # deviations that a series gets which had never moved before
_CHUNK = 256  # series at a time, so that memory stays a fraction of the input


@dataclass(frozen=True, slots=True, eq=False)
class Anomalies:
    """One entry a series: `score` ≥ 0 (log scale, NaN = cannot be judged), z of the mean, medians before and after."""

    score: Floats
    shift: Floats
    before: Floats
    during: Floats


def judge(normal: Floats, fault: Floats) -> Anomalies:
    """Score every series of `fault` (time, series) against `normal` (time, series).

    The statistic of a window is ½(max|z| + |mean z|): a spike and a step both move it. The score is log1p of its
    value in the fault over the 95 % quantile of its values in windows of the normal period.
    """
    parts = [
        _judge(normal[:, start : start + _CHUNK], fault[:, start : start + _CHUNK])
        for start in range(0, normal.shape[1], _CHUNK)
    ]
    score, shift, before, during = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Anomalies(score, shift, before, during)


def _judge(normal: Floats, fault: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    low, median, high = quantiles(normal, 0.25, 0.5, 0.75)
    (during,) = quantiles(fault, 0.5)
    known = (np.isfinite(normal).mean(axis=0) >= MIN_COVERAGE) & (np.isfinite(fault).mean(axis=0) >= MIN_COVERAGE)
    deviation = np.where(np.isfinite(normal), normal - median, 0.0)
    after = np.where(np.isfinite(fault), fault - median, 0.0)
    count = np.maximum(np.isfinite(normal).sum(axis=0), 1)
    spread = np.sqrt((deviation**2).sum(axis=0) / count)
    scale = np.fmax((high - low) / 1.349, 0.3 * spread)
    scale = np.fmax(scale, 0.01 * np.abs(median))
    scale = np.where(scale > 0, scale, np.abs(after).max(axis=0) / STILL)
    scale = np.where(scale > 0, scale, 1.0)
    z_normal, z_fault = deviation / scale, after / scale
    width = min(len(z_fault), max(3, len(z_normal) // 8))
    usual = np.quantile(_statistics(z_normal, width, NULL_WINDOWS), NULL_QUANTILE, axis=0)
    now = _statistics(z_fault, width, 8).max(axis=0)
    score = np.log1p(now / np.maximum(usual, NULL_FLOOR))
    return np.where(known, score, np.nan), z_fault.mean(axis=0), median, during


def _statistics(z: Floats, width: int, windows: int) -> Floats:
    """The statistic over at most `windows` evenly placed windows: (windows, series)."""
    width = min(width, len(z))
    starts = np.unique(np.linspace(0, len(z) - width, windows).astype(int))
    out = np.empty((starts.size, z.shape[1]))
    for i, start in enumerate(starts):
        part = z[start : start + width]
        out[i] = 0.5 * (np.abs(part).max(axis=0) + np.abs(part.mean(axis=0)))
    return out
