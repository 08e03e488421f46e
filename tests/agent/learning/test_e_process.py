from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from agent.learning.alpha import STRICT_ALPHA, level
from agent.learning.e_process import EProcess, UnusableScore

ALPHA = 0.05
RUNS = 2000
LOOK_EVERY = 5


def ever_reaches(differences: list[float], alpha: float, margin: float = 0.0) -> bool:
    process = EProcess(margin)
    for first in range(0, len(differences), LOOK_EVERY):
        process = process.after(differences[first : first + LOOK_EVERY])
        if process.value >= 1 / alpha:
            return True
    return False


def noise(rng: np.random.Generator, pairs: int) -> list[float]:
    """Mostly no difference, sometimes a large one either way: what an edit that helps nobody looks like."""
    return [float(one) for one in rng.choice((0.0, 0.0, 0.0, 0.45, -0.45, 0.3, -0.3), pairs)]


def test_of_edits_that_change_nothing_on_average_at_most_alpha_are_ever_kept() -> None:
    rng = np.random.default_rng(8)
    kept = sum(ever_reaches(noise(rng, 150), ALPHA) for _ in range(RUNS))
    error = math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
    assert kept / RUNS <= ALPHA + 3 * error


def test_parent_against_itself_is_never_kept() -> None:
    assert not ever_reaches([0.0] * 600, ALPHA)


def test_an_edit_that_helps_now_and_then_is_kept_within_the_cap() -> None:
    rng = np.random.default_rng(1)
    kept = sum(ever_reaches([0.4 if rng.random() < 0.1 else 0.0 for _ in range(400)], ALPHA) for _ in range(100))
    assert kept >= 95


def test_a_gain_below_the_margin_is_no_help() -> None:
    assert not ever_reaches([0.01] * 600, ALPHA, margin=0.02)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, 1.01, -1.2, "0.5", None])
def test_a_score_that_is_no_number_in_range_makes_the_edit_invalid(score: float) -> None:
    with pytest.raises(UnusableScore):
        EProcess().after([score])


def test_taking_pairs_in_one_by_one_or_together_is_the_same() -> None:
    together = EProcess().after([0.2, -0.1, 0.0])
    alone = EProcess().after([0.2]).after([-0.1]).after([0.0])
    assert together == alone
    assert together.pairs == 3


def test_hopeless_is_said_of_a_test_that_goes_nowhere_and_not_of_one_on_its_way() -> None:
    assert EProcess().after([0.0] * 500).hopeless(ALPHA, 100)
    assert not EProcess().after([0.3] * 10).hopeless(ALPHA, 590)


def test_a_strict_run_spends_at_most_its_alpha_when_nothing_is_kept() -> None:
    spent = [level("strict", test, 0) for test in range(1, 1000)]
    assert sum(spent) < STRICT_ALPHA
    assert all(later < earlier for earlier, later in pairwise(spent))


def test_a_keep_earns_a_strict_run_more_room() -> None:
    assert level("strict", 10, 3) == 4 * level("strict", 10, 0)


def test_exploring_does_not_spend() -> None:
    assert level("explore", 1, 0) == level("explore", 120, 9) == 0.05
