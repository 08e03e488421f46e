from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.brain.beliefs import expected_gain, leave_one_out, posterior
from agent.brain.entropy import entropy
from agent.brain.parameters import DEFAULTS
from agent.incident import Answered
from agent.runbook.skill import NONE_OF_THESE, Skill
from connectors.runbooks import skills
from tests.agent.examples import HIDDEN, NO, NOTED, SKILL, YES

if TYPE_CHECKING:
    from random import Random

Case = tuple[Skill, dict[str, Answered]]
SEEDS = [*skills().values(), SKILL]

answers = st.sampled_from(["yes", "no", "not_visible", "note"]).map(lambda status: Answered(status, "", 1))
asked = st.sampled_from(SEEDS).flatmap(
    lambda skill: st.tuples(
        st.just(skill), st.dictionaries(st.sampled_from([*skill.checks, "unheard_of"]), answers, max_size=12)
    )
)


@settings(deadline=None)
@given(asked)
def test_beliefs_sum_to_one_and_leave_room_for_a_cause_nobody_listed(case: Case) -> None:
    skill, answered = case
    beliefs = posterior(skill, answered)
    assert math.fsum(beliefs.values()) == pytest.approx(1, abs=1e-9)
    assert all(0 <= p <= 1 for p in beliefs.values())
    assert beliefs[NONE_OF_THESE] >= DEFAULTS.floor


@settings(deadline=None)
@given(asked, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(case: Case, rng: Random) -> None:
    skill, answered = case
    shuffled = list(answered.items())
    rng.shuffle(shuffled)
    assert posterior(skill, dict(shuffled)) == pytest.approx(posterior(skill, answered))


@settings(deadline=None)
@given(asked)
def test_what_could_not_be_seen_moves_nothing(case: Case) -> None:
    skill, answered = case
    seen = {name: answer for name, answer in answered.items() if answer.status in {"yes", "no"}}
    assert posterior(skill, answered) == pytest.approx(posterior(skill, seen))


@settings(deadline=None)
@given(asked)
def test_leaving_one_answer_out_brackets_the_belief(case: Case) -> None:
    skill, answered = case
    beliefs = posterior(skill, answered)
    for cause, p in beliefs.items():
        low, high = leave_one_out(skill, answered, cause)
        assert low <= p <= high


@settings(deadline=None)
@given(asked)
def test_asking_is_expected_to_bring_between_nothing_and_all_that_is_unknown(case: Case) -> None:
    skill, answered = case
    beliefs = posterior(skill, answered)
    for name in skill.checks:
        assert -1e-9 <= expected_gain(skill, name, beliefs) <= entropy(beliefs) + 1e-9


def test_without_answers_beliefs_are_the_priors() -> None:
    for skill in SEEDS:
        assert posterior(skill, {}) == pytest.approx(skill.priors())


def test_one_answer_moves_beliefs_as_bayes_rule_says() -> None:
    # scans: strong (0.9) for missing_index, against (0.04) for traffic_surge, silent (0.15) for none_of_these.
    weights = {"missing_index": 0.4 * 0.9, "traffic_surge": 0.3 * 0.04, "none_of_these": 0.3 * 0.15}
    total = sum(weights.values())
    assert posterior(SKILL, {"scans": YES}) == pytest.approx({c: w / total for c, w in weights.items()})
    weights = {"missing_index": 0.4 * 0.1, "traffic_surge": 0.3 * 0.96, "none_of_these": 0.3 * 0.85}
    total = sum(weights.values())
    assert posterior(SKILL, {"scans": NO}) == pytest.approx({c: w / total for c, w in weights.items()})


def test_a_check_that_only_gathers_says_nothing_about_causes() -> None:
    for answer in (YES, NO, NOTED, HIDDEN):
        assert posterior(SKILL, {"sample": answer}) == pytest.approx(SKILL.priors())


def test_a_fair_coin_is_one_bit() -> None:
    assert entropy({"a": 0.5, "b": 0.5}) == pytest.approx(1)
    assert entropy({"a": 1.0, "b": 0.0}) == 0


def test_a_check_that_speaks_of_every_cause_alike_is_not_worth_asking() -> None:
    assert expected_gain(SKILL, "sample", SKILL.priors()) == pytest.approx(0, abs=1e-12)
    assert expected_gain(SKILL, "scans", SKILL.priors()) > 0.3
