"""What postmortems that name the wrong cause can do to the shipped skills."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.learning.counts import with_counts
from agent.learning.failures import Trajectory
from agent.learning.snapshot import counts_of
from agent.replay.play import play
from agent.runbook.skill import NONE_OF_THESE
from connectors.runbooks import skills
from lab.evaluator.scores import Scores
from lab.learn.run import seed_tree
from lab.recordings import library
from lab.recordings.generate import Generator, families_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.runbook.skill import Skill

INCIDENTS = 300
SHARE = 0.1
SKILLS = skills()

Decision = tuple[str | None, str | None]
"""Cause and action."""


@pytest.fixture(scope="module")
def history() -> tuple[Trajectory, ...]:
    """Closed train incidents, as the counts are made from them."""
    recordings = library.read()
    scores = Scores({"train": Generator(recordings, families_of(recordings, "train"))})
    rows = scores.trajectories(scores.load(seed_tree()), "poison", INCIDENTS)
    return tuple(Trajectory.from_data(row) for row in rows)


def learnt(history: Sequence[Trajectory]) -> dict[str, Skill]:
    counts = counts_of(SKILLS, history)
    return {name: with_counts(skill, counts[name]) if name in counts else skill for name, skill in SKILLS.items()}


def decisions(known: dict[str, Skill]) -> dict[str, Decision]:
    played = {one.id: play(one.case(), known) for one in library.read()}
    return {name: (one.cause, one.action) for name, one in played.items()}


def poisoned(history: Sequence[Trajectory], rng: random.Random) -> list[Trajectory]:
    """A tenth of the postmortems name another cause that their skill knows."""
    told = list(history)
    for place in rng.sample(range(len(told)), int(SHARE * len(told))):
        one = told[place]
        others = sorted(set(SKILLS[one.skill].causes) - {one.mechanism, NONE_OF_THESE})
        told[place] = replace(one, mechanism=rng.choice(others))
    return told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_tenth_of_poisoned_postmortems_changes_no_action_and_hardly_a_word(
    seed: int, history: tuple[Trajectory, ...]
) -> None:
    wrong = poisoned(history, random.Random(seed))  # noqa: S311 which ones
    assert sum(one.mechanism != other.mechanism for one, other in zip(history, wrong, strict=True)) == INCIDENTS // 10
    assert counts_of(SKILLS, wrong) != counts_of(SKILLS, history)
    clean, after = decisions(learnt(history)), decisions(learnt(wrong))
    changed = {name: (clean[name], after[name]) for name in clean if clean[name] != after[name]}
    assert {name: both for name, both in changed.items() if both[0][1] != both[1][1]} == {}
    # Measured 2 to 4 of 75: blips and busy processors, which stand at the very bar. docs/learning.md says so.
    assert len(changed) <= 0.06 * len(clean), changed
