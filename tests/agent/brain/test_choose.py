from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.brain.beliefs import posterior
from agent.brain.choose import Ask, Conclude, GiveUp, Wait, next_move
from agent.brain.parameters import DEFAULTS
from agent.incident import Answered, Working
from agent.runbook.skill import NONE_OF_THESE
from connectors.runbooks import skills
from tests.agent.examples import CONVINCING, DIAGNOSIS, HIDDEN, NO, NOTED, SKILL, YES, skill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.brain.choose import Move
    from agent.runbook.skill import Skill

SEEDS = skills()


@st.composite
def any_skill(draw: st.DrawFn) -> Skill:
    """A readable skill: checks need only earlier ones, the first ask needs nothing."""
    causes = ["a", "b", "c", NONE_OF_THESE][-draw(st.integers(2, 4)) :]
    names = [f"check_{n}" for n in range(draw(st.integers(2, 8)))]
    checks: list[dict[str, Any]] = []
    for n, name in enumerate(names):
        supported = draw(st.lists(st.sampled_from(causes), unique=True))
        checks.append(
            {
                "id": name,
                "tool": "database",
                "cost_s": draw(st.sampled_from([0.05, 0.3, 3.0])),
                "gathers": draw(st.booleans()),
                "needs": draw(st.lists(st.sampled_from(names[:n]), unique=True, max_size=2)) if n else [],
                "supports": {cause: draw(st.sampled_from(sorted(DEFAULTS.strength()))) for cause in supported},
            }
        )
    needless = [row["id"] for row in checks if not row["needs"]]
    first = needless[: draw(st.integers(1, len(needless)))]
    most = draw(st.integers(max(2, len(first)), 9))
    diagnosis = {
        "causes": {cause: {"title": cause, "prior": draw(st.sampled_from([0.1, 0.3, 0.6]))} for cause in causes},
        "first": first,
        "checks": checks,
        "stop": {
            "posterior": draw(st.sampled_from([0.5, 0.8, 0.95])),
            "margin": 0.2,
            "min_checks": draw(st.integers(1, most)),
            "max_checks": most,
            "min_disconfirming": draw(st.integers(0, 3)),
        },
    }
    fixes = [{"id": "fix", "cause": causes[0], "action": "x", "params_from": names[-1], "rollback": "never"}]
    return skill(diagnosis, {"remediations": fixes})


def investigate(chosen: Skill, said: Mapping[str, Answered]) -> tuple[Working, Move, list[str]]:
    """Plays one investigation to its end. Returns what it knows, how it ended, and what it asked in order."""
    working, asked = Working(beliefs=chosen.priors()), []
    while isinstance(move := next_move(chosen, working), Ask):
        assert move.checks
        seen = {name for name, answer in working.answered.items() if answer.status != "not_visible"}
        for name in move.checks:
            assert name not in asked, "asked twice"
            assert seen.issuperset(chosen.checks[name].needs), "asked for what it cannot know"
            asked.append(name)
        answered = {**working.answered, **{name: said[name] for name in move.checks}}
        working = replace(working, answered=answered, beliefs=posterior(chosen, answered))
    return working, move, asked


@st.composite
def any_case(draw: st.DrawFn) -> tuple[Skill, dict[str, Answered]]:
    chosen = draw(st.sampled_from([*SEEDS.values(), SKILL]) | any_skill())
    statuses = st.sampled_from(["yes", "no", "not_visible"])
    return chosen, {name: Answered(draw(statuses), "", 1) for name in chosen.checks}


@settings(max_examples=60, deadline=None)
@given(any_case())
def test_every_investigation_ends_within_its_checks_and_asks_nothing_twice(
    case: tuple[Skill, dict[str, Answered]],
) -> None:
    chosen, said = case
    working, move, asked = investigate(chosen, said)
    assert isinstance(move, Conclude | GiveUp)
    assert len(asked) <= chosen.stop.max_checks
    assert set(asked) == set(working.answered)


@settings(max_examples=60, deadline=None)
@given(any_case())
def test_a_conclusion_has_its_belief_its_checks_its_challenge_and_its_parameters(
    case: tuple[Skill, dict[str, Answered]],
) -> None:
    chosen, said = case
    working, move, asked = investigate(chosen, said)
    if not isinstance(move, Conclude):
        return
    conclusion = move.conclusion
    assert conclusion.cause != NONE_OF_THESE
    assert conclusion.probability == working.beliefs[conclusion.cause] >= chosen.stop.posterior
    assert conclusion.low <= conclusion.probability <= conclusion.high
    telling = [
        chosen.checks[name] for name in asked if not chosen.checks[name].gathers and said[name].status in {"yes", "no"}
    ]
    assert len(telling) >= chosen.stop.min_checks
    if len(asked) < chosen.stop.max_checks:
        seen = {name for name in asked if said[name].status != "not_visible"}
        left = [c for c in chosen.checks.values() if c.id not in asked and seen.issuperset(c.needs)]
        against = [c for c in telling if max(c.yes_given.values()) > c.yes_given[conclusion.cause]]
        could = [c for c in left if not c.gathers and max(c.yes_given.values()) > c.yes_given[conclusion.cause]]
        assert len(against) >= chosen.stop.min_disconfirming or not could
        remedy = chosen.remedy(conclusion.cause)
        assert remedy is None or remedy.params_from not in {check.id for check in left}


@settings(max_examples=25, deadline=None)
@given(any_case(), st.integers(0, 8))
def test_choosing_is_pure_and_repeatable(case: tuple[Skill, dict[str, Answered]], known: int) -> None:
    chosen, said = case
    answered = dict(list(said.items())[:known])
    working = Working(beliefs=posterior(chosen, answered), answered=answered)
    kept = deepcopy(working)
    assert next_move(chosen, working) == next_move(chosen, working)
    assert working == kept


def test_nothing_is_asked_while_an_answer_is_outstanding() -> None:
    assert next_move(SKILL, Working(beliefs=SKILL.priors(), pending=("sample",))) == Wait()


def test_the_first_ask_is_the_skills_own() -> None:
    assert next_move(SKILL, Working(beliefs=SKILL.priors())) == Ask(("sample", "ranking"))


def after(**answered: Answered) -> Working:
    return Working(beliefs=posterior(SKILL, answered), answered=answered)


def test_a_settled_leader_is_challenged_before_it_is_concluded() -> None:
    working = after(sample=NOTED, ranking=YES, scans=YES)
    assert working.beliefs["missing_index"] >= SKILL.stop.posterior
    assert next_move(SKILL, working) == Ask(("surge",))


def test_the_remedys_parameters_are_asked_for_before_concluding() -> None:
    assert next_move(SKILL, after(sample=NOTED, ranking=YES, scans=YES, surge=NO)) == Ask(("index_would_help",))
    assert isinstance(next_move(SKILL, after(**CONVINCING)), Conclude)


def test_parameters_that_cannot_be_seen_do_not_hold_up_the_conclusion() -> None:
    working = after(**{**CONVINCING, "index_would_help": HIDDEN})
    assert isinstance(next_move(SKILL, working), Conclude)


def test_a_hidden_sample_closes_the_checks_that_read_it() -> None:
    move = next_move(SKILL, after(sample=HIDDEN, ranking=YES))
    assert move == Ask(("surge",))


def test_giving_up_says_the_best_cause_and_what_was_hidden() -> None:
    hidden = dict.fromkeys(SKILL.checks, HIDDEN)
    move = next_move(SKILL, Working(beliefs=posterior(SKILL, hidden), answered=hidden))
    assert isinstance(move, GiveUp)
    assert "Missing index at 0.40" in move.why
    assert "not visible: index_would_help, ranking, sample, scans, surge" in move.why


def test_no_more_than_a_few_are_asked_side_by_side() -> None:
    says = {"missing_index": "strong"}
    many = [{"id": f"c{n}", "tool": "database", "cost_s": 0.1, "supports": says} for n in range(9)]
    chosen = skill({**DIAGNOSIS, "checks": many, "first": ["c0"], "stop": {**DIAGNOSIS["stop"], "max_checks": 9}},
                   {"remediations": []})  # fmt: skip
    answered = {"c0": HIDDEN}
    move = next_move(chosen, Working(beliefs=posterior(chosen, answered), answered=answered))
    assert isinstance(move, Ask)
    assert len(move.checks) == DEFAULTS.side_by_side


def test_a_cheap_check_goes_before_an_equal_dear_one() -> None:
    rows = [
        {"id": "dear", "tool": "database", "cost_s": 3.0, "supports": {"missing_index": "strong"}},
        {"id": "cheap", "tool": "database", "cost_s": 0.1, "supports": {"missing_index": "strong"}},
        {"id": "start", "tool": "changes", "cost_s": 0.1},
    ]
    chosen = skill({**DIAGNOSIS, "checks": rows, "first": ["start"]}, {"remediations": []})
    answered = {"start": HIDDEN}
    move = next_move(chosen, Working(beliefs=posterior(chosen, answered), answered=answered))
    assert move == Ask(("cheap", "dear"))


def test_a_strong_belief_in_none_of_these_is_no_conclusion() -> None:
    no = dict.fromkeys(SKILL.checks, NO)
    working = Working(beliefs=posterior(SKILL, no), answered=no)
    assert max(working.beliefs, key=lambda cause: working.beliefs[cause]) == NONE_OF_THESE
    assert isinstance(next_move(SKILL, working), GiveUp)


@pytest.mark.parametrize("name", SEEDS)
def test_the_seed_skills_end_whatever_a_dead_world_says(name: str) -> None:
    seed = SEEDS[name]
    _, move, _ = investigate(seed, dict.fromkeys(seed.checks, HIDDEN))
    assert isinstance(move, GiveUp)
