from __future__ import annotations

import math

import numpy as np
import pytest

from agent.learning.e_process import EProcess, UnusableScore
from agent.learning.gate import Arm, Passed, SequentialTest, Status, Tally, added, margin_for, verdict, vetoes

ALPHA = 0.05


def run_of(differences: list[float], *, cap: int = 600, margin: float = 0.0) -> SequentialTest:
    return SequentialTest(ALPHA, EProcess(margin), cap=cap).after(differences)


def mixed(gain: float, share: float, pairs: int, seed: int = 3) -> list[float]:
    rng = np.random.default_rng(seed)
    return [gain if rng.random() < share else 0.0 for _ in range(pairs)]


def test_an_edit_that_helps_is_kept() -> None:
    test = run_of(mixed(0.4, 0.2, 300))
    assert test.ended is Passed.HELPS
    assert verdict(test, (), 0, sensitive=False).status is Status.KEEP


def test_the_same_edit_waits_for_a_human_when_it_is_sensitive() -> None:
    assert verdict(run_of(mixed(0.4, 0.2, 300)), (), 0, sensitive=True).status is Status.AWAITING_REVIEW


def test_an_edit_that_hurts_is_stopped_long_before_the_cap() -> None:
    test = run_of([])
    for difference in mixed(-0.4, 0.3, 600):
        if test.ended is not None:
            break
        test = test.after([difference])
    assert test.ended is Passed.HURTS
    assert test.pairs < 150
    assert verdict(test, (), 0, sensitive=False).status is Status.REVERT


def test_undecided_is_said_as_such_and_not_as_worse() -> None:
    test = run_of([0.0] * 600)
    assert verdict(test, (), 1, sensitive=False).status is Status.INCONCLUSIVE


def test_a_veto_outweighs_any_average() -> None:
    said = verdict(
        run_of(mixed(0.4, 0.3, 300)), ("anchor-swap: the cause is missed on 9 more of 40",), 0, sensitive=False
    )
    assert said.status is Status.REVERT
    assert "anchor-swap" in said.why


def test_evidence_that_was_enough_stays_enough() -> None:
    assert run_of([*mixed(0.5, 0.5, 100), *[-0.5] * 100]).ended is Passed.HELPS


def test_a_growing_edit_must_earn_what_it_adds() -> None:
    small_gain = [0.01] * 600
    assert margin_for(-3) == margin_for(0) == 0.0
    assert run_of(small_gain, margin=margin_for(10)).ended is Passed.UNDECIDED


def test_what_changes_nothing_and_is_simpler_may_stay() -> None:
    assert verdict(run_of([0.0] * 600), (), -4, sensitive=False).status is Status.KEEP
    assert verdict(run_of([0.0, 0.3, -0.3] * 200), (), -4, sensitive=False).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("score", [math.nan, math.inf, 2.0])
def test_a_score_that_is_none_ends_the_test(score: float) -> None:
    with pytest.raises(UnusableScore):
        run_of([0.1, score])


def arm(right: int = 0, wrong_fixes: int = 0, harms: int = 0) -> Arm:
    return Arm(right, wrong_fixes, harms, 100.0, 10)


def test_one_more_harmful_action_anywhere_is_a_veto() -> None:
    assert vetoes({"benign": Tally(50, 20, arm(), arm(harms=1))})
    assert not vetoes({"benign": Tally(50, 20, arm(harms=1), arm(harms=1))})


def test_an_anchoring_edit_is_vetoed_in_its_stratum_although_all_gained() -> None:
    tallies = {
        "all": Tally(400, 90, arm(right=20), arm(right=80)),
        "anchor-swap": Tally(90, 30, arm(right=25), arm(right=10)),
    }
    assert [one for one in vetoes(tallies) if one.startswith("anchor-swap")]
    assert not [one for one in vetoes(tallies) if one.startswith("all")]


def test_wrong_fixes_must_not_rise() -> None:
    assert vetoes({"all": Tally(100, 50, arm(), arm(wrong_fixes=6))})


@pytest.mark.parametrize(
    "spoilt",
    [
        {"n": -1},
        {"n": True},
        {"changed": 500},
        {"child": {"right": 400, "wrong_fixes": 0, "harms": 0, "mitigate_s": 1, "asked": 1}},
        {"parent": {"right": 0, "wrong_fixes": 0, "harms": 0, "mitigate_s": math.nan, "asked": 1}},
    ],
)
def test_counts_that_cannot_be_are_no_score(spoilt: dict[str, object]) -> None:
    good = Tally(100, 50, arm(), arm()).to_data()
    assert Tally.from_data(good).n == 100
    with pytest.raises(UnusableScore):
        Tally.from_data({**good, **spoilt})


def test_tallies_add_up_stratum_by_stratum() -> None:
    once = {"all": Tally(10, 5, arm(right=2), arm(right=3))}
    assert added(once, {**once, "shift": Tally(1)})["all"].n == 20
    assert added(once, {"shift": Tally(1)})["shift"].n == 1
