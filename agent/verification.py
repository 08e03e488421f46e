"""Did it work? Answered on the alert's own signal, with a minimum of samples and a control. Pure.

recovered: the signal was within its target for the whole window and traffic did not vanish. not_recovered: it was
not, by the deadline. regressed: it is clearly worse than before the fix. inconclusive: we cannot tell, which is never
success.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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

    before, after: medians of the signal in its own unit, after over the window; NaN when there was no sample.
    samples: in the window.
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
    stack = stack[:, seen]
    match signal.comparison:
        case ">" | ">=":
            values = np.nanmax(stack, axis=0)
        case "<" | "<=":
            values = np.nanmin(stack, axis=0)
        case _:
            off = np.abs(stack - signal.threshold)
            pick = np.nanargmin(off, axis=0) if signal.comparison == "==" else np.nanargmax(off, axis=0)
            values = np.take_along_axis(stack, pick[np.newaxis, :], axis=0)[0]
    return series[0].times[seen], values


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
    in_window = after[after_times >= now - plan.window_s]
    recent, samples, wanted = _median(in_window), len(in_window), plan.window_s / plan.step_s
    enough = samples >= SAMPLES_WANTED * wanted
    if good_from is not None and now - good_from >= plan.window_s and enough:
        share = _traffic_share(control, ran_from, ran_to)
        return _recovered(signal, plan, share, Judged("recovered", "", good_from, before, recent, samples))
    if now - ran_to < plan.deadline_s:
        return Judged("pending", "the window is not over", None, before, recent, samples)
    if not enough:
        text = f"only {samples} of {wanted:.0f} samples in the window"
        return Judged("inconclusive", text, None, before, recent, samples)
    text = f"{_figure(before)} before, {_figure(recent)} after, target {signal.comparison_text()}"
    verdict: Verdict = "regressed" if _regressed(signal, before, recent) else "not_recovered"
    return Judged(verdict, text, None, before, recent, samples)


def _regressed(signal: Signal, before: float, recent: float) -> bool:
    """Only a signal that is still on the wrong side: twice a figure that harms nobody is no reason to roll back."""
    if math.isnan(before) or not signal.breached(recent):
        return False
    by = abs(before) * (REGRESSED_BY - 1)
    return signal.worse(recent, before - by if signal.comparison in {"<", "<="} else before + by)


def _no_samples(plan: Plan, ran_to: float, now: float) -> Judged:
    verdict: Verdict = "pending" if now - ran_to < plan.deadline_s else "inconclusive"
    return Judged(verdict, "Prometheus has no sample of the alert's signal", None, math.nan, math.nan, 0)


def _recovered(signal: Signal, plan: Plan, share: float | None, judged: Judged) -> Judged:
    """The verdict with its text; inconclusive when traffic went away. share: of the traffic before, None: not known."""
    if share is not None and share < CONTROL_FLOOR:
        text = f"the signal is quiet, but traffic fell to {share:.0%} of what it was"
        return replace(judged, verdict="inconclusive", summary=text, restored_at=None)
    traffic = "no traffic control configured" if share is None else f"traffic at {share:.0%} of before"
    text = (
        f"{_figure(judged.before)} before, {_figure(judged.after)} after, target {signal.comparison_text()}; "
        f"{judged.samples} samples over {plan.window_s:.0f} s; {traffic}"
    )
    return replace(judged, summary=text)


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
