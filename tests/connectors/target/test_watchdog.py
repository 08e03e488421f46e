from __future__ import annotations

from itertools import pairwise

import pytest

from agent.database.execution import Bounds
from connectors.target.progress import _BUILD, _VACUUM, scaled
from connectors.target.readback import same_value
from connectors.target.watchdog import SUSTAINED, Vitals, Watchdog, mean_ms

QUIET = Vitals(1_000, 1_000.0, 0.1, None)


def looks(dog: Watchdog, mean: float, count: int, start: Vitals = QUIET) -> list[str | None]:
    """So many looks at a load of 100 writes each, of so many milliseconds."""
    said = []
    for number in range(1, count + 1):
        seen = Vitals(
            (start.writes or 0) + 100 * number,
            (start.write_ms or 0) + 100 * mean * number,
            start.replication_lag_s,
            None,
        )
        said.append(dog.objection(seen))
    return said


def test_slow_writes_end_a_build_only_when_they_stay_slow() -> None:
    said = looks(Watchdog(Bounds(), QUIET), 400.0, SUSTAINED)
    assert said[:-1] == [None] * (SUSTAINED - 1)
    assert said[-1] == "writes took 400 ms in the mean, 1.0 ms before; 250 ms is the bound"


def test_one_slow_look_among_others_is_forgiven() -> None:
    dog = Watchdog(Bounds(), QUIET)
    assert looks(dog, 400.0, SUSTAINED - 1)[-1] is None
    calm = Vitals(10_000, 90_000.0, None, None)
    assert dog.objection(calm) is None
    assert looks(dog, 400.0, SUSTAINED - 1, calm)[-1] is None


def test_writes_that_were_slow_before_are_not_the_builds_fault() -> None:
    """An UPDATE without its index is slow because of what the build is there to mend."""
    slow = Vitals(1_000, 100_000.0, None, None)
    assert looks(Watchdog(Bounds(), slow), 500.0, 2 * SUSTAINED, slow) == [None] * 2 * SUSTAINED
    assert looks(Watchdog(Bounds(), slow), 2_500.0, SUSTAINED, slow)[-1] is not None


def test_traffic_behind_the_build_ends_it_at_once() -> None:
    dog = Watchdog(Bounds(blocked_s=5), QUIET)
    assert dog.objection(Vitals(1_000, 1_000.0, 0.1, 4.0)) is None
    assert "waited 6 s" in str(dog.objection(Vitals(1_000, 1_000.0, 0.1, 6.0)))


def test_a_standby_that_falls_behind_ends_it_and_one_that_was_behind_does_not() -> None:
    far = Vitals(1_000, 1_000.0, 90.0, None)
    dog = Watchdog(Bounds(), QUIET)
    assert [dog.objection(far) for _ in range(SUSTAINED)][-1] == "a standby is 90 s behind, and 60 s is the bound"
    was_far = Watchdog(Bounds(), far)
    assert [was_far.objection(far) for _ in range(2 * SUSTAINED)] == [None] * 2 * SUSTAINED


def test_a_reset_and_too_few_writes_say_nothing() -> None:
    assert mean_ms(QUIET, Vitals(10, 5.0, None, None)) is None
    assert mean_ms(QUIET, Vitals(1_002, 9_000.0, None, None)) is None
    assert mean_ms(QUIET, Vitals(None, None, None, None)) is None


def test_the_phases_of_a_build_follow_each_other_without_a_gap() -> None:
    order = [row for row in _BUILD if row[0] != "building index"]
    assert all(before[2] == after[1] for before, after in pairwise(order))
    assert all(before[2] == after[1] for before, after in pairwise(_VACUUM))


@pytest.mark.parametrize(
    ("phase", "done", "total", "percent"),
    [
        ("building index: scanning table", 50, 100, 20.0),
        ("building index: sorting live tuples", 0, 0, 40.0),
        ("building index", 50, 100, 31.0),
        ("building index: some other method's", 1, 2, 31.0),
        ("index validation: scanning table", 200, 100, 99.0),
        ("a phase of a later version", 1, 2, None),
    ],
)
def test_a_phase_has_its_place_on_the_whole_way(phase: str, done: int, total: int, percent: float | None) -> None:
    assert scaled(_BUILD, phase, done, total) == percent


@pytest.mark.parametrize(
    ("wanted", "setting", "unit", "same"),
    [
        ("2GB", "2048", "MB", True),
        ("2048MB", "2048", "MB", True),
        ("2048", "2048", "MB", True),
        ("128MB", "16384", "8kB", True),
        ("5min", "300", "s", True),
        ("0.5s", "500", "ms", True),
        ("-1", "-1", "ms", True),
        ("0.9", "0.9", None, True),
        ("off", "off", None, True),
        ("2GB", "1024", "MB", False),
        ("on", "off", None, False),
        ("-1", "1000", "ms", False),
        ("10 parsecs", "10", "s", False),
    ],
)
def test_a_value_is_compared_as_the_server_means_it(wanted: str, setting: str, unit: str | None, *, same: bool) -> None:
    assert same_value(wanted, setting, unit) is same
