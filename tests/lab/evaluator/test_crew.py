"""Several processes that play along: nothing of what is answered may say that they were there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent.replay.play import play
from agent.runbook.skill import UnusableSkill
from lab.evaluator.answers import answer
from lab.evaluator.crew import Crew
from tests.lab.learn import world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.replay.case import Case
    from agent.replay.play import Played
    from agent.runbook.skill import Skill
    from lab.evaluator.scores import Scores


def manned(judge: Scores, count: int = 3) -> Scores:
    judge.crew = Crew(judge, count)
    return judge


def told(judge: Scores) -> list[Any]:
    seed, other = judge.load(world.tree()), judge.load(world.tree(pool="strong"))
    first = [
        judge.compare(seed, other, "s", 0, 25),
        judge.trajectories(seed, "w", 20),
        judge.train_differences(seed, other, range(20)),
        judge.examine(other, "test", "s", 15),
        judge.canaries(seed, "s"),
    ]
    judge.forget(other)
    return [*first, judge.trajectories(other, "w", 20), judge.compare(other, other, "t", 0, 5)]


def test_alone_or_with_others_every_answer_is_the_same() -> None:
    assert told(world.scores(exam=True)) == told(manned(world.scores(exam=True)))


def breaks_on_leaks(case: Case, skills: Mapping[str, Skill]) -> Played:
    if case.truth.mechanism == "connection_leak":
        raise RecursionError(case.id)
    return play(case, skills)


def test_of_several_failures_the_first_incident_s_is_told_whoever_played_it() -> None:
    said = []
    for judge in (world.scores(player=breaks_on_leaks), manned(world.scores(player=breaks_on_leaks))):
        parent, child = judge.load(world.tree()), judge.load(world.tree(pool="strong"))
        said.append(answer(judge, dict, {"op": "compare", "parent": parent, "child": child, "stream": "s", "first": 0,
                                         "count": 20}))  # fmt: skip
        assert judge.load(world.tree(pool="weak"))
    assert said[0] == said[1]
    assert "playing it failed: RecursionError: validation#" in said[0]["invalid"]


def test_what_was_forgotten_is_forgotten_by_all() -> None:
    judge = manned(world.scores())
    seed, other = judge.load(world.tree()), judge.load(world.tree(pool="strong"))
    judge.forget(seed)
    assert "was not loaded" in answer(judge, dict, {"op": "train", "tree": other, "stream": "s", "count": 9})["error"]


def test_a_skill_is_played_once_on_a_train_incident_whatever_candidate_holds_it() -> None:
    played: list[str] = []

    def counting(case: Case, skills: Mapping[str, Skill]) -> Played:
        played.append(case.id)
        return play(case, skills)

    judge = world.scores(player=counting)
    seed, other = judge.load(world.tree()), judge.load(world.tree(pool="strong"))
    judge.trajectories(seed, "w", 10)
    seeds = [one["seed"] for one in judge.trajectories(seed, "w", 10)]
    judge.train_differences(seed, other, seeds)
    judge.train_differences(seed, other, seeds)
    assert len(played) == 20
    judge.trajectories(other, "another window", 10)
    judge.trajectories(other, "w", 10)
    assert len(played) == 40


def test_a_crew_whose_member_is_gone_says_nothing_rather_than_half() -> None:
    judge = world.scores()
    judge.crew = crew = Crew(judge, 2)
    seed = judge.load(world.tree())
    crew._others[0].close()
    with pytest.raises(OSError, match="closed"):
        judge.trajectories(seed, "w", 10)


def test_a_candidate_that_cannot_be_read_reaches_nobody() -> None:
    judge = manned(world.scores())
    with pytest.raises(UnusableSkill):
        judge.load({**world.tree(), "shop-slow/references/diagnosis.yaml": "causes: []"})
    assert len(judge.trajectories(judge.load(world.tree()), "w", 4)) == 4
