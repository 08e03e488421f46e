"""The schedule of arrivals and the log of committed writes."""

from __future__ import annotations

import random
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load import CommitLog, Pace, bursts, schedule

_EPOCH = 1_700_000_000.0


def _rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # arrivals, not secrets


def _log(*times: float) -> CommitLog:
    log = CommitLog()
    for at in times:
        log.committed(_EPOCH + at)
    return log


def _longest(log: CommitLog, since: float, until: float, now: float) -> float | None:
    longest_s = log.longest_gap(_EPOCH + since, _EPOCH + until, _EPOCH + now).longest_s
    return None if longest_s is None else round(longest_s, 6)


@given(rate=st.floats(0.5, 500), seed=st.integers())
def test_every_slot_of_the_schedule_gets_one_arrival(rate: float, seed: int) -> None:
    times = list(islice(schedule(rate, _rng(seed)), 200))

    assert [int(at * rate + 1e-9) for at in times] == list(range(200))


def test_no_scheduled_gap_is_longer_than_one_and_a_half_slots() -> None:
    times = list(islice(schedule(20.0, _rng(3)), 5000))

    assert max(b - a for a, b in pairwise(times)) <= 1.5 / 20.0 + 1e-9


def test_a_rate_of_zero_schedules_nothing() -> None:
    assert list(schedule(0.0, _rng(1))) == []


def test_the_longest_gap_is_found_however_late_the_answers_came() -> None:
    log = _log(0.0, 0.1, 0.9, 0.2, 1.0)

    assert _longest(log, 0.0, 1.0, 1.0) == pytest.approx(0.7)


def test_a_gap_that_began_before_the_window_counts_whole() -> None:
    log = _log(0.0, 5.0, 5.1)

    assert _longest(log, 4.0, 5.1, 5.1) == pytest.approx(5.0)


def test_a_gap_that_ends_after_the_window_counts_whole() -> None:
    log = _log(0.0, 0.1, 3.0, 9.0)

    assert _longest(log, 0.0, 1.0, 9.0) == pytest.approx(2.9)


def test_writes_that_stopped_altogether_show_as_a_gap_up_to_now() -> None:
    log = _log(0.0, 0.1)

    assert _longest(log, 0.0, 10.0, 10.0) == pytest.approx(9.9)


def test_gaps_outside_the_window_do_not_count() -> None:
    log = _log(0.0, 50.0, 50.1, 50.2, 90.0)

    assert _longest(log, 50.05, 50.15, 90.0) == pytest.approx(0.1)


def test_without_a_single_write_there_is_no_gap_to_name() -> None:
    gap = _log().longest_gap(_EPOCH, _EPOCH + 1, _EPOCH + 1)

    assert gap.longest_s is None
    assert gap.writes == 0


def test_only_writes_inside_the_window_are_counted() -> None:
    gap = _log(0.0, 1.0, 2.0, 3.0).longest_gap(_EPOCH + 1.0, _EPOCH + 2.0, _EPOCH + 3.0)

    assert gap.writes == 2


def test_bursts_are_short_mild_and_apart_and_the_same_for_a_seed() -> None:
    some = list(islice(bursts(_rng(4)), 200))

    assert some == list(islice(bursts(_rng(4)), 200))
    assert all(1.0 <= one.ends - one.begins <= 3.0 and 1.0 < one.factor < 1.5 for one in some)
    assert all(later.begins - earlier.ends >= 20.0 for earlier, later in pairwise(some))


def test_the_pace_is_the_usual_one_but_in_a_burst_and_in_a_surge() -> None:
    pace, burst = Pace(_rng(4)), next(bursts(_rng(4)))
    inside = (burst.begins + burst.ends) / 2

    assert pace.factor(1.0) == 1.0
    assert pace.factor(inside) == burst.factor
    pace.surge(inside, inside + 60.0, 3.0)
    assert pace.factor(inside) == pytest.approx(3.0 * burst.factor)
    assert pace.surges(inside)
    assert not pace.surges(inside + 60.0)
