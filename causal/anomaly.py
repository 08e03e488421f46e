"""How unusual each series is after the change, on a scale that every series sets for itself.

Rises and drops count alike, a lone spike does not, and a series that stood still before the fault is not thrown away.
A bursty series is unusual every minute, so its excursion is divided by the root of what the same statistic does in
windows of its own normal period: by all of it would trust a normal period that may hold earlier faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal.series import quantiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from causal.series import Floats

MIN_COVERAGE = 0.3  # a series with less data than this, before or after, is not judged
NULL_WINDOWS = 32  # windows of the normal period that say what is usual
NULL_QUANTILE = 0.95
NULL_FLOOR = 1.0  # the statistic on calm noise: no series may look calmer than that
STILL = 10.0  # deviations that a series gets which had never moved before
MIN_REGRESSION = 20  # samples without which a service's traffic explains nothing
_CHUNK = 256  # series at a time, so that memory stays a fraction of the input


@dataclass(frozen=True, slots=True, eq=False)
class Anomalies:
    """One entry a series: `score` ≥ 0 (log scale, NaN = cannot be judged), z of the mean, medians before and after.

    `usual`: (windows, series), the scores that windows of the normal period get.
    """

    score: Floats
    shift: Floats
    before: Floats
    during: Floats
    usual: Floats


def judge(normal: Floats, fault: Floats, traffic: npt.NDArray[np.int64] | None = None) -> Anomalies:
    """Score every series of `fault` (time, series) against `normal` (time, series).

    `traffic`: for each series the column that carries its service's traffic, or -1. What traffic explains by a line
    fitted on the normal period does not count, so a surge is no fault; it can only lower a score.
    """
    parts = []
    for start in range(0, normal.shape[1], _CHUNK):
        chunk = slice(start, start + _CHUNK)
        found = _judge(normal[:, chunk], fault[:, chunk])
        if traffic is not None:
            carried = start + np.flatnonzero(traffic[chunk] >= 0)
            if carried.size:
                rest = _without_traffic(normal, fault, carried, traffic[carried])
                found[0][carried - start] = np.minimum(found[0][carried - start], _judge(*rest)[0])
        parts.append(found)
    return Anomalies(*(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)))


def coarsen(normal: Floats, fault: Floats) -> tuple[Floats, Floats]:
    """Means over blocks of samples, when there are many: a small lasting shift then stands out of the noise.

    Keeps about 40 blocks of normal life and 8 of the fault; with few samples the arrays come back as they are.
    """
    block = min(len(fault) // 8, len(normal) // 40)
    return (_blocks(normal, block), _blocks(fault, block)) if block > 1 else (normal, fault)


def _blocks(values: Floats, block: int) -> Floats:
    """Oldest rows that do not fill a block are left out."""
    parts = values[len(values) % block :].reshape(-1, block, values.shape[1])
    out = np.empty((len(parts), values.shape[1]))
    for i, part in enumerate(parts):
        present = np.isfinite(part)
        count = present.sum(axis=0)
        total = np.where(present, part, 0.0).sum(axis=0)
        out[i] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def _judge(normal: Floats, fault: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    low, median, high = quantiles(normal, 0.25, 0.5, 0.75)
    (during,) = quantiles(fault, 0.5)
    known = (np.isfinite(normal).mean(axis=0) >= MIN_COVERAGE) & (np.isfinite(fault).mean(axis=0) >= MIN_COVERAGE)
    z_normal = np.where(np.isfinite(normal), normal - median, 0.0)
    z_fault = np.where(np.isfinite(fault), fault - median, 0.0)
    spread = np.sqrt((z_normal**2).mean(axis=0))
    scale = np.fmax(np.fmax((high - low) / 1.349, 0.3 * spread), 0.01 * np.abs(median))
    scale = np.where(scale > 0, scale, np.abs(z_fault).max(axis=0) / STILL)
    scale = np.where(scale > 0, scale, 1.0)
    z_normal /= scale
    z_fault /= scale
    width = min(len(z_fault), max(3, len(z_normal) // 8))
    windows = _statistics(z_normal, width, NULL_WINDOWS)
    calm = np.sqrt(np.maximum(np.quantile(windows, NULL_QUANTILE, axis=0), NULL_FLOOR))
    now = _statistics(z_fault, width, 8).max(axis=0)
    score, usual = (np.where(known, np.log1p(found / calm), np.nan) for found in (now, windows[::4]))
    return score, z_fault.mean(axis=0), median, during, usual


def _statistics(z: Floats, width: int, windows: int) -> Floats:
    """Largest |median of three neighbours| in at most `windows` evenly placed windows: (windows, series)."""
    width = min(width, len(z))
    calm = np.abs(z if width < 3 else _median_of_three(z))  # noqa: PLR2004  three samples make a median
    width -= len(z) - len(calm)
    starts = np.unique(np.linspace(0, len(calm) - width, windows).astype(int))
    return np.stack([calm[start : start + width].max(axis=0) for start in starts])


def _median_of_three(z: Floats) -> Floats:
    a, b, c = z[:-2], z[1:-1], z[2:]
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _without_traffic(
    normal: Floats, fault: Floats, series: npt.NDArray[np.int64], traffic: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Both sides of `series` less a straight line through the traffic of their service, fitted on the normal side."""
    y, x = normal[:, series], normal[:, traffic]
    both = np.isfinite(x) & np.isfinite(y)
    count = np.maximum(both.sum(axis=0), 1)
    dx = np.where(both, x - np.where(both, x, 0.0).sum(axis=0) / count, 0.0)
    dy = np.where(both, y - np.where(both, y, 0.0).sum(axis=0) / count, 0.0)
    spread = (dx**2).sum(axis=0)
    usable = (spread > 0) & (count >= MIN_REGRESSION)
    slope = np.where(usable, (dx * dy).sum(axis=0) / np.where(usable, spread, 1.0), 0.0)
    # Where traffic has no sample it explains nothing: the median stands in.
    (middle,) = quantiles(x, 0.5)
    middle = np.where(np.isfinite(middle), middle, 0.0)
    during = fault[:, traffic]
    return (
        y - slope * np.where(np.isfinite(x), x, middle),
        fault[:, series] - slope * np.where(np.isfinite(during), during, middle),
    )
