from __future__ import annotations

import numpy as np
import pytest

from lab.bench.intervals import difference, reduction, resampled

FAMILIES = [f"family-{place % 12}" for place in range(240)]


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def weights() -> np.ndarray:
    return resampled(FAMILIES, rng_of(2), draws=400)


def test_a_halving_is_found_with_an_interval_around_it() -> None:
    rng = np.random.default_rng(1)
    before = rng.exponential(400, 240)
    after = np.stack([before * rng.uniform(0.3, 0.7, 240) for _ in range(3)])
    found = reduction(before, after, weights(), rng_of(3))
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(0.5, abs=0.05)


def test_nothing_changed_is_zero_whatever_is_drawn() -> None:
    before = np.random.default_rng(1).exponential(400, 240)
    found = reduction(
        before,
        np.stack([before, before]),
        resampled(FAMILIES, np.random.default_rng(2), draws=200),
        np.random.default_rng(3),
    )
    assert (found.low, found.estimate, found.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


def test_families_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    before = np.full(240, 400.0)
    by_family = np.array([100.0 if int(name.split("-")[1]) % 2 else 700.0 for name in FAMILIES])
    mixed = reduction(
        before,
        rng.permutation(by_family)[None, :],
        resampled(FAMILIES, np.random.default_rng(2), draws=400),
        np.random.default_rng(3),
    )
    clustered = reduction(
        before, by_family[None, :], resampled(FAMILIES, np.random.default_rng(2), draws=400), np.random.default_rng(3)
    )
    assert clustered.high - clustered.low > 1.5 * (mixed.high - mixed.low)


def test_a_difference_has_the_sign_of_what_came_after() -> None:
    before = np.zeros(240)
    found = difference(
        before,
        np.full((1, 240), 0.1),
        resampled(FAMILIES, np.random.default_rng(2), draws=100),
        np.random.default_rng(3),
    )
    assert found.low == pytest.approx(0.1)
