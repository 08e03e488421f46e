"""How large the change of a series is, with an interval that knows that neighbouring samples are alike.

The one place that knows statsmodels, loaded inside the call: its import costs more than a ranking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from causal.series import Floats

MIN_SAMPLES = 8
"""On each side; with fewer the interval would say more than is known."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level, in the series' own unit, with its 95 % interval. p_value: of no change at all."""

    before: float
    effect: float
    low: float
    high: float
    p_value: float


def step_at(times: Floats, values: Floats, change: float) -> Step | None:
    """The level after `change` (epoch seconds) less the level before it; None with too few samples on a side.

    Ordinary least squares on a step, with Newey-West errors over n^(1/4) lags: samples of a rate over a moving window
    repeat each other, and plain errors would be too small by several times. Source: Newey and West 1987,
    https://www.jstor.org/stable/1913610; Stock and Watson's rule for the number of lags.
    """
    seen = np.isfinite(values)
    times, values = times[seen], values[seen]
    after = times >= change
    if min(int(after.sum()), int((~after).sum())) < MIN_SAMPLES:
        return None
    before = float(values[~after].mean())
    if float(np.ptp(values[~after])) == 0.0 and float(np.ptp(values[after])) == 0.0:
        effect = float(values[after].mean()) - before
        return Step(before, effect, effect, effect, 0.0 if effect else 1.0)
    return _fitted(values, after.astype(np.float64), before)


def _fitted(values: Floats, step: Floats, before: float) -> Step:
    from statsmodels.api import OLS, add_constant  # noqa: PLC0415

    lags = max(1, math.ceil(len(values) ** 0.25))
    fit = OLS(values, add_constant(step)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    low, high = fit.conf_int(alpha=1 - LEVEL)[1]
    return Step(before, float(fit.params[1]), float(low), float(high), float(fit.pvalues[1]))
