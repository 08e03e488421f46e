"""What the operators propose for a skill that is composed of several files: in the file that holds what they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.learning.apply import apply, paths_of
from agent.learning.catalogue import CATALOGUE
from agent.learning.edits import Edit, Prediction
from agent.learning.failures import Cluster, Trajectory
from agent.learning.ideas import IDEAS, Seen
from agent.learning.tree import Reader, hash_of, tree_of
from connectors.runbooks import texts

if TYPE_CHECKING:
    from agent.learning.ideas import Idea

SKILL = "postgres-missing-index"
TREE = tree_of(texts())
SKILLS = Reader().skills(TREE)


def trajectory(seed: int, mechanism: str) -> Trajectory:
    skill = SKILLS[SKILL]
    answers = {f"{check.tool}:{check.query}": ("no", check.cost_s) for check in skill.checks.values()}
    return Trajectory.from_data(
        {
            "seed": seed, "family": "f", "origin": "orders", "target": "orders-db", "labels": {}, "skill": SKILL,
            "asked": [], "answers": answers, "figures": {}, "component": "orders", "mechanism": mechanism,
            "ranked": "catalog", "cause": "cpu_saturation", "found_component": "orders", "right": False,
            "acted": False, "wrong_fix": False, "harm": False, "diagnose_s": 9.0, "mitigate_s": 1200.0,
            "mitigated": False, "utility": 0.2,
        }
    )  # fmt: skip


ROWS = [trajectory(seed, "slow_dependency") for seed in range(40)]
SEEN = Seen(TREE, SKILLS, ROWS, CATALOGUE)
CLUSTER = Cluster("early_stop", SKILL, tuple(ROWS), 30.0)


def made(operator: str, idea: Idea) -> Edit:
    skill = idea.skill or SKILL
    before = hash_of(TREE, paths_of(operator, skill, TREE))
    return Edit(operator, skill, before, idea.args, idea.hypothesis, Prediction("utility", (), 1, 0.0), (), "rules", 1)


@pytest.mark.parametrize("operator", ["set_prior", "drop_cause", "drop_check", "set_component", "reorder_first"])
def test_every_idea_can_be_done_although_others_hold_most_of_the_skill(operator: str) -> None:
    ideas = list(IDEAS[operator](SEEN, CLUSTER))
    assert ideas
    elsewhere = [idea for idea in ideas if idea.skill not in {"", SKILL}]
    assert elsewhere or operator == "reorder_first"
    for idea in ideas:
        assert apply(made(operator, idea), TREE) != TREE


def test_a_prior_moves_the_way_it_was_meant_to_in_the_composed_skill() -> None:
    ideas = {str(idea.args["cause"]): idea for idea in IDEAS["set_prior"](SEEN, CLUSTER)}
    before = SKILLS[SKILL].priors()
    for cause, rises in (("slow_dependency", True), ("missing_index", False)):
        after = Reader().skills(apply(made("set_prior", ideas[cause]), TREE))[SKILL].priors()
        assert (after[cause] > before[cause]) is rises


def test_an_order_may_begin_with_checks_of_the_files_it_is_composed_with() -> None:
    own = TREE[f"{SKILL}/references/diagnosis.yaml"]
    orders = [idea.args["first"] for idea in IDEAS["reorder_first"](SEEN, CLUSTER)]
    assert any(f"id: {name}\n" not in own for first in orders for name in first)
