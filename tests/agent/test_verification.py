from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.expression import Signal
from agent.ports import Series
from agent.verification import CONTROL_FLOOR, REGRESSED_BY, SAMPLES_WANTED, Plan, judge, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.verification import Judged, Verdict

PLAN = Plan(window_s=60, deadline_s=180, step_s=5)
"""13 samples in a whole window."""
SLOW = Signal("p99", ">", 0.5)
SUCCESS = Signal("success_ratio", "<", 0.99)
DOWN = Signal("up", "==", 0.0)
CHANGED = Signal("replicas", "!=", 3.0)

BEFORE = 12
"""Samples between the impact and the fix, which takes no time: the fix runs at 0."""


def series(*values: float | None, start: float = 0.0, step_s: float = 5.0, **labels: str) -> Series:
    times = start + np.arange(len(values)) * step_s
    return Series(labels, times, np.array([math.nan if v is None else v for v in values], dtype=float))


def around(before: float | None, *after: float | None) -> Series:
    """The same value through the incident, then these from the fix on, 5 s apart."""
    return series(*[before] * BEFORE, *after, start=-60)


def judged(
    signal: Signal, *shown: Series, now: float | None = None, control: tuple[Series, ...] = (), plan: Plan = PLAN
) -> Judged:
    """now: the time of the last sample when not said."""
    last = now if now is not None else float(shown[0].times[-1])
    return judge(signal, shown, control, plan, impact_from=-60, ran_from=0, ran_to=0, now=last)


GOOD, BAD, WORSE = 0.1, 0.9, 3.0


@pytest.mark.parametrize(
    ("after", "now", "verdict"),
    [
        ([GOOD] * 13, 60, "recovered"),
        ([GOOD] * 12, 55, "pending"),
        ([BAD, *[GOOD] * 13], 65, "recovered"),
        ([BAD, *[GOOD] * 12], 60, "pending"),
        ([*[GOOD] * 10, BAD, *[GOOD] * 12], 110, "pending"),
        ([*[GOOD] * 10, BAD, *[GOOD] * 13], 115, "recovered"),
        ([GOOD, None, *[GOOD] * 11], 60, "recovered"),
        ([GOOD, None, None, GOOD, None, GOOD, None, None, GOOD, None, GOOD, None, GOOD], 60, "pending"),
        ([GOOD, *[None, GOOD] * 18], 180, "inconclusive"),
        ([*[GOOD] * 8, *[None] * 29], 180, "inconclusive"),
        ([None] * 37, 180, "inconclusive"),
        ([None] * 10, 45, "pending"),
        ([BAD] * 37, 180, "not_recovered"),
        ([BAD] * 36, 175, "pending"),
        ([*[GOOD, BAD] * 18, GOOD], 180, "not_recovered"),
        ([*[GOOD] * 30, BAD, *[GOOD] * 6], 180, "not_recovered"),
        ([WORSE] * 37, 180, "regressed"),
        ([WORSE] * 36, 175, "pending"),
        ([BAD * 1.4] * 37, 180, "not_recovered"),
        ([math.inf] * 37, 180, "regressed"),
        ([0.5] * 13, 60, "recovered"),
    ],
)
def test_a_shape_of_samples_has_its_verdict(after: Sequence[float | None], now: float, verdict: Verdict) -> None:
    found = judged(SLOW, around(BAD, *after), now=now)
    assert found.verdict == verdict
    assert (found.restored_at is not None) == (verdict == "recovered")
    assert found.summary


def test_recovery_is_dated_at_the_first_good_sample_after_the_last_bad_one() -> None:
    found = judged(SLOW, around(BAD, BAD, GOOD, BAD, *[GOOD] * 13))
    assert found.restored_at == 15
    assert (found.before, found.after, found.samples) == (BAD, GOOD, 13)
    assert found.summary == "0.9 before, 0.1 after, target <= 0.5; 13 samples over 60 s; no traffic control configured"


def test_before_is_the_incident_and_not_the_normal_time_ahead_of_it() -> None:
    shown = series(*[GOOD] * 100, *[BAD] * 12, *[GOOD] * 13, start=-560)
    assert judged(SLOW, shown).before == BAD


def test_without_any_series_it_waits_and_then_cannot_tell() -> None:
    for now, verdict in ((0, "pending"), (179, "pending"), (180, "inconclusive")):
        found = judge(SLOW, (), (), PLAN, impact_from=-60, ran_from=0, ran_to=0, now=now)
        assert (found.verdict, found.samples) == (verdict, 0)


def test_without_samples_before_the_fix_nothing_can_have_regressed() -> None:
    found = judged(SLOW, around(None, *[WORSE] * 37))
    assert found.verdict == "not_recovered"
    assert "no sample before" in found.summary


# --- Regression --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "before", "after", "verdict"),
    [
        (SUCCESS, 0.9, 1.0, "recovered"),
        (SUCCESS, 0.9, 0.95, "not_recovered"),
        (SUCCESS, 0.9, 0.5, "not_recovered"),
        (SUCCESS, 0.9, 0.4, "regressed"),
        (Signal("profit", "<", 0.0), -1.0, -1.2, "not_recovered"),
        (Signal("profit", "<", 0.0), -1.0, -1.6, "regressed"),
        (Signal("x", ">", -5.0), -2.0, -1.5, "not_recovered"),
        (Signal("x", ">", -5.0), -2.0, -0.5, "regressed"),
        (DOWN, 0.0, 0.0, "not_recovered"),
        (CHANGED, 2.0, 9.0, "not_recovered"),
        (CHANGED, 2.0, 3.0, "recovered"),
    ],
)
def test_worse_is_on_the_side_of_the_alert(signal: Signal, before: float, after: float, verdict: Verdict) -> None:
    assert judged(signal, around(before, *[after] * 37), now=180).verdict == verdict


def test_a_signal_that_doubled_but_harms_nobody_is_no_reason_to_roll_back() -> None:
    # Quiet before (the impact start was estimated late), one spike after: twice 0.1 is still within 0.5.
    after = [0.2] * 37
    after[30] = 0.9
    found = judged(SLOW, around(0.1, *after))
    assert found.after > 0.1 * REGRESSED_BY
    assert found.verdict == "not_recovered"


# --- Several series ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "healthy", "ill"), [(SLOW, GOOD, BAD), (SUCCESS, 1.0, 0.5), (DOWN, 1.0, 0.0), (CHANGED, 3.0, 2.0)]
)
def test_one_ill_series_among_healthy_ones_counts(signal: Signal, healthy: float, ill: float) -> None:
    well, sick = around(ill, *[healthy] * 37), around(ill, *[ill] * 37)
    assert judged(signal, well, well, now=180).verdict == "recovered"
    for order in ((well, sick), (sick, well), (well, well, sick)):
        assert judged(signal, *order, now=180).verdict == "not_recovered"


def test_the_worst_of_several_is_a_value_one_of_them_has() -> None:
    times, values = worst((series(1, None, 3, None), series(2, 5, None, None)), Signal("x", "!=", 2.0))
    assert times.tolist() == [0, 5, 10]
    assert values.tolist() == [1, 5, 3]


# --- The control -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traffic", "verdict", "says"),
    [
        (around(100, *[95] * 13), "recovered", "traffic at 95% of before"),
        (around(100, *[100 * CONTROL_FLOOR] * 13), "recovered", "traffic at 50% of before"),
        (around(100, *[40] * 13), "inconclusive", "traffic fell to 40%"),
        (around(100, *[0] * 13), "inconclusive", "traffic fell to 0%"),
        (around(100, *[None] * 13), "inconclusive", "traffic fell to 0%"),
        (around(None, *[100] * 13), "recovered", "no traffic control configured"),
    ],
)
def test_a_quiet_signal_says_nothing_when_nobody_was_there(traffic: Series, verdict: Verdict, says: str) -> None:
    found = judged(SLOW, around(BAD, *[GOOD] * 13), control=(traffic,))
    assert found.verdict == verdict
    assert says in found.summary
    assert (found.restored_at is None) == (verdict == "inconclusive")


def test_traffic_is_summed_over_its_series() -> None:
    moved = (around(50, *[100] * 13), around(50, *[None] * 13))
    assert judged(SLOW, around(BAD, *[GOOD] * 13), control=moved).verdict == "recovered"


# --- Whatever the samples ----------------------------------------------------------------------------------------


samples = st.lists(st.none() | st.floats(0, 2), min_size=1, max_size=45)


@settings(max_examples=150, deadline=None)
@given(samples, st.sampled_from([SLOW, Signal("x", "<", 0.5), Signal("x", "==", 1.0), Signal("x", "!=", 1.0)]))
def test_recovered_means_that_no_sample_of_the_window_is_breached_and_enough_are_there(
    after: list[float | None], signal: Signal
) -> None:
    shown = around(BAD, *after)
    now = float(shown.times[-1])
    found = judged(signal, shown)
    window = [v for at, v in zip(shown.times, shown.values, strict=True) if at >= max(0, now - 60) and not np.isnan(v)]
    if found.verdict == "recovered":
        assert now >= PLAN.window_s
        assert not any(signal.breached(float(value)) for value in window)
        assert len(window) >= SAMPLES_WANTED * PLAN.window_s / PLAN.step_s
        assert found.restored_at is not None
        assert now - found.restored_at >= PLAN.window_s
    if found.verdict == "pending":
        assert now < PLAN.deadline_s
