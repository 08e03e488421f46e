from __future__ import annotations

import numpy as np

from causal.anomaly import coarsen, judge

RNG = np.random.default_rng(0)


def scores(normal: np.ndarray, fault: np.ndarray) -> list[float]:
    return [float(score) for score in judge(normal, fault).score]


def test_a_drop_counts_like_a_rise() -> None:
    normal = np.repeat(RNG.normal(10, 1, (100, 1)), 2, axis=1)
    fault = np.column_stack((normal[:10, 0] + 8, normal[:10, 1] - 8))
    up, down = scores(normal, fault)
    assert abs(up - down) < 0.3
    assert down > 1.5


def test_a_lone_spike_is_not_a_change() -> None:
    normal = RNG.normal(0, 1, (100, 2))
    fault = RNG.normal(0, 1, (10, 2))
    fault[4, 0] += 100
    fault[4:8, 1] += 10
    spike, lasting = scores(normal, fault)
    assert lasting > spike + 0.5


def test_a_bursty_series_needs_more_to_be_unusual() -> None:
    normal = RNG.normal(0, 1, (120, 2))
    normal[::20, 0] += 8
    normal[1::20, 0] += 8
    fault = np.full((8, 2), 8.0)
    bursty, calm = scores(normal, fault)
    assert calm > bursty


def test_what_traffic_explains_is_no_change() -> None:
    traffic = RNG.normal(100, 10, 130)
    traffic[120:] += 150
    cpu = 0.3 * traffic + RNG.normal(0, 1, 130)
    values = np.column_stack((traffic, cpu))
    plain = judge(values[:120], values[120:]).score[1]
    freed = judge(values[:120], values[120:], np.array([-1, 0])).score[1]
    assert plain > 2
    assert freed < 1.5


def test_a_series_without_data_is_not_judged() -> None:
    normal = RNG.normal(0, 1, (50, 2))
    normal[:, 1] = np.nan
    judged = judge(normal, normal[:5])
    assert np.isfinite(judged.score[0])
    assert np.isnan(judged.score[1])


def test_many_samples_are_drawn_together_and_holes_stay_holes() -> None:
    normal, fault = RNG.normal(0, 1, (400, 2)), RNG.normal(0, 1, (80, 2))
    normal[:, 1] = np.nan
    before, during = coarsen(normal, fault)
    assert (len(before), len(during)) == (40, 8)
    assert np.isnan(before[:, 1]).all()
    assert np.isclose(before[:, 0].mean(), normal[:, 0].mean())


def test_few_samples_stay_as_they_are() -> None:
    normal, fault = RNG.normal(0, 1, (60, 1)), RNG.normal(0, 1, (5, 1))
    assert coarsen(normal, fault)[0] is normal
