"""Did it work? Answered on the alert's own signal, with a minimum of samples and a control. Pure.

recovered: the signal was within its target for the whole window and traffic did not vanish. not_recovered: it was
not, by the deadline. regressed: it is clearly worse than before the fix. inconclusive: we cannot tell, which is never
success.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from agent.ports import total

if TYPE_CHECKING:
    from agent.expression import Signal
    from agent.ports import Series

REGRESSED_BY = 1.5
"""How much worse than before the fix the signal must be to count as a regression. Judgement: p99 under load swings
by a third on its own."""

CONTROL_FLOOR = 0.5
"""Traffic below this share of what it was before the fix says nothing about recovery: nobody was there to suffer."""

SAMPLES_WANTED = 0.8
"""Share of the window's samples that must be there."""

Verdict = Literal["pending", "recovered", "not_recovered", "regressed", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will count as recovery, fixed before anybody approves. Seconds."""

    window_s: float
    deadline_s: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Judged:
    """restored_at: epoch seconds of the first sample of the good window; None unless recovered.

    before, after: medians of the signal in its own unit; NaN when there was no sample.
    """

    verdict: Verdict
    summary: str
    restored_at: float | None
    before: float
    after: float
    samples: int


def worst(series: tuple[Series, ...], signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    """Times and, at each, the worst value over the series: an alert is over when none of its series is on."""
    stack = np.vstack([one.values for one in series])
    seen = ~np.all(np.isnan(stack), axis=0)
    pick = np.nanmin if signal.comparison in {"<", "<="} else np.nanmax
    return series[0].times[seen], pick(stack[:, seen], axis=0)


def judge(
    signal: Signal,
    series: tuple[Series, ...],
    control: tuple[Series, ...],
    plan: Plan,
    *,
    impact_from: float,
    ran_from: float,
    ran_to: float,
    now: float,
) -> Judged:
    """Judges the samples up to now; all times in epoch seconds. "Before" is from the impact to the fix.

    series: the signal's, from before ran_from to now; empty when Prometheus has none. control: traffic over the same
    time; empty when no control is known, which then is said.
    """
    if not series:
        return _no_samples(plan, ran_to, now)
    times, values = worst(series, signal)
    before = _median(values[(times >= impact_from) & (times < ran_from)])
    after_times, after = times[times >= ran_to], values[times >= ran_to]
    bad = np.array([signal.breached(float(value)) for value in after], dtype=bool)
    good_from = _good_since(after_times, bad)
    recent = _median(after[after_times >= now - plan.window_s])
    samples = len(after)
    if good_from is not None and now - good_from >= plan.window_s:
        return _recovered(signal, plan, control, before, after[after_times >= good_from], good_from, ran_from, ran_to)
    if now - ran_to < plan.deadline_s:
        return Judged("pending", "the window is not over", None, before, recent, samples)
    if samples < SAMPLES_WANTED * plan.window_s / plan.step_s:
        return Judged("inconclusive", f"only {samples} samples since the fix", None, before, recent, samples)
    if not math.isnan(before) and signal.worse(recent, before * REGRESSED_BY):
        text = f"{_figure(before)} before, {_figure(recent)} after"
        return Judged("regressed", text, None, before, recent, samples)
    text = f"{_figure(before)} before, {_figure(recent)} after, target {signal.comparison_text()}"
    return Judged("not_recovered", text, None, before, recent, samples)


def _no_samples(plan: Plan, ran_to: float, now: float) -> Judged:
    verdict: Verdict = "pending" if now - ran_to < plan.deadline_s else "inconclusive"
    return Judged(verdict, "Prometheus has no sample of the alert's signal", None, math.nan, math.nan, 0)


def _recovered(
    signal: Signal,
    plan: Plan,
    control: tuple[Series, ...],
    before: float,
    good: np.ndarray,
    good_from: float,
    ran_from: float,
    ran_to: float,
) -> Judged:
    after, wanted = _median(good), plan.window_s / plan.step_s
    if len(good) < SAMPLES_WANTED * wanted:
        text = f"only {len(good)} of {wanted:.0f} samples in the window"
        return Judged("inconclusive", text, None, before, after, len(good))
    share = _traffic_share(control, ran_from, ran_to)
    if share is not None and share < CONTROL_FLOOR:
        text = f"the signal is quiet, but traffic fell to {share:.0%} of what it was"
        return Judged("inconclusive", text, None, before, after, len(good))
    traffic = "no traffic control configured" if share is None else f"traffic at {share:.0%} of before"
    text = (
        f"{_figure(before)} before, {_figure(after)} after, target {signal.comparison_text()}; "
        f"{len(good)} samples over {plan.window_s:.0f} s; {traffic}"
    )
    return Judged("recovered", text, good_from, before, after, len(good))


def _traffic_share(control: tuple[Series, ...], ran_from: float, ran_to: float) -> float | None:
    if not control:
        return None
    times = control[0].times
    traffic = total(control)
    before, after = _median(traffic[times < ran_from]), _median(traffic[times >= ran_to])
    if math.isnan(before) or before <= 0:
        return None
    return 0.0 if math.isnan(after) else after / before


def _good_since(times: np.ndarray, bad: np.ndarray) -> float | None:
    """Time of the first sample after the last bad one; None when there is none."""
    worst_index = np.flatnonzero(bad)
    first = int(worst_index[-1]) + 1 if len(worst_index) else 0
    return float(times[first]) if first < len(times) else None


def _median(values: np.ndarray) -> float:
    """Of the samples there are; NaN when there is none."""
    seen = values[~np.isnan(values)]
    return float(np.median(seen)) if len(seen) else math.nan


def _figure(value: float) -> str:
    return "no sample" if math.isnan(value) else f"{value:.3g}"
