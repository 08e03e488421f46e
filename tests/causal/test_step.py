from __future__ import annotations

import numpy as np
import pytest

from causal.step import MIN_SAMPLES, step_at

TIMES = np.arange(120.0)


def repeating(rng: np.random.Generator, count: int = 120) -> np.ndarray:
    """Noise in which each sample is much like the last, as a rate over a moving window is."""
    noise = rng.normal(size=count)
    for i in range(1, count):
        noise[i] += 0.8 * noise[i - 1]
    return noise


def test_the_size_of_a_step_lies_within_its_interval() -> None:
    values = repeating(np.random.default_rng(1)) + np.where(TIMES >= 60, 10.0, 0.0)
    found = step_at(TIMES, values, 60.0)
    assert found is not None
    assert found.low < 10.0 < found.high
    assert found.low < found.effect < found.high
    assert found.p_value < 0.001


def test_a_drop_is_negative() -> None:
    values = np.random.default_rng(2).normal(size=120) - np.where(TIMES >= 60, 5.0, 0.0)
    found = step_at(TIMES, values, 60.0)
    assert found is not None
    assert found.high < 0


def test_without_a_step_the_interval_holds_zero_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        found = step_at(TIMES, repeating(rng), 60.0)
        assert found is not None
        held += found.low <= 0 <= found.high
    # 95 % asymptotically; with 120 samples that repeat each other Newey-West is known to fall short of it.
    assert held >= 70


@pytest.mark.parametrize("change", [MIN_SAMPLES - 1.0, 120.0 - MIN_SAMPLES + 1.0, -5.0, 1e9])
def test_too_few_samples_on_a_side_is_no_answer(change: float) -> None:
    assert step_at(TIMES, TIMES.copy(), change) is None


def test_gaps_do_not_count_as_samples() -> None:
    values = np.where(TIMES >= 60, 3.0, 1.0) + np.random.default_rng(4).normal(0, 0.01, 120)
    values[::2] = np.nan
    found = step_at(TIMES, values, 60.0)
    assert found is not None
    assert found.effect == pytest.approx(2.0, abs=0.05)


def test_a_step_between_two_constants_is_exact() -> None:
    found = step_at(TIMES, np.where(TIMES >= 60, 7.0, 2.0), 60.0)
    assert found is not None
    assert (found.before, found.effect, found.low, found.high, found.p_value) == (2.0, 5.0, 5.0, 5.0, 0.0)
    flat = step_at(TIMES, np.full(120, 2.0), 60.0)
    assert flat is not None
    assert (flat.effect, flat.p_value) == (0.0, 1.0)
