from __future__ import annotations

import numpy as np

from causal.changepoint import estimate
from causal.rank import rank
from causal.series import Frame
from tests.causal.worlds import shop


def test_a_common_step_is_found_and_lies_in_its_span() -> None:
    world = shop()
    found = estimate(world.frame)
    assert found is not None
    assert found.low <= world.change <= found.high


def test_few_samples_have_no_change() -> None:
    assert estimate(Frame.from_columns(np.arange(8.0), {"a|x": np.arange(8.0)})) is None


def test_a_fault_time_that_is_two_minutes_off_is_put_right() -> None:
    world = shop()
    for offset_s in (-120.0, 120.0):
        ranking = rank(world.frame, inject_time=world.change + offset_s, target=world.target, graph=world.graph)
        assert ranking.change is not None
        assert abs(ranking.change.time - world.change) <= 15
        assert ranking.services[0].service == "db"


def test_the_change_is_looked_for_shortly_before_the_alert() -> None:
    world = shop()
    moved = np.where(np.arange(world.times.size) >= 40, 5.0, 0.0)
    columns = world.columns | {f"noise{i}|x": moved + np.random.default_rng(i).normal(size=140) for i in range(5)}
    frame = Frame.from_columns(world.times, columns)
    ranking = rank(frame, alert_time=world.change + 60, target=world.target, graph=world.graph)
    assert ranking.change is not None
    assert abs(ranking.change.time - world.change) <= 15
