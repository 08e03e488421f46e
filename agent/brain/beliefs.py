"""Beliefs over causes: Bayes' rule over answered checks, with room kept for a cause nobody listed."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Answered
    from agent.runbook.skill import Check, Skill


def posterior(skill: Skill, answered: Mapping[str, Answered]) -> dict[str, float]:
    """Belief in each cause given the answers; sums to 1. A check that could not see moves nothing."""
    return _normal(skill, _weights(skill, _told(skill, answered)))


def _told(skill: Skill, answered: Mapping[str, Answered]) -> list[tuple[Mapping[str, float], bool]]:
    """P(yes | cause) of each check that said yes or no, and whether it said yes."""
    return [
        (check.yes_given, answer.status == "yes")
        for name, answer in answered.items()
        if answer.status in {"yes", "no"} and (check := skill.checks.get(name)) is not None and not check.gathers
    ]


def _weights(skill: Skill, told: list[tuple[Mapping[str, float], bool]]) -> dict[str, float]:
    """Not yet normal. Products, not sums of logs: chances stay above 0.01, so a hundred answers are far from the
    smallest number there is.
    """
    weights = skill.priors()
    for chance, yes in told:
        if yes:
            for cause in weights:
                weights[cause] *= chance[cause]
        else:
            for cause in weights:
                weights[cause] *= 1 - chance[cause]
    return weights


def _normal(skill: Skill, weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return _with_floor({cause: weight / total for cause, weight in weights.items()}, skill.parameters.floor)


def _with_floor(beliefs: dict[str, float], floor: float) -> dict[str, float]:
    """none_of_these never falls below it: a skill's list of causes is never the whole world."""
    open_world = beliefs[NONE_OF_THESE]
    if open_world >= floor:
        return beliefs
    shrink = (1 - floor) / (1 - open_world)
    return {cause: floor if cause == NONE_OF_THESE else p * shrink for cause, p in beliefs.items()}


def entropy(beliefs: Mapping[str, float]) -> float:
    """In bits."""
    return -sum(p * math.log2(p) for p in beliefs.values() if p > 0)


def expected_gain(check: Check, beliefs: Mapping[str, float]) -> float:
    """Bits that asking the check is expected to bring: what its answer and the cause tell of each other, which is the
    uncertainty of the answer less what is left of it when the cause is known.
    """
    given = check.yes_given
    chance_yes = sum([belief * given[cause] for cause, belief in beliefs.items()])
    if not 0 < chance_yes < 1:
        return 0.0
    left = sum([belief * _of_two(given[cause]) for cause, belief in beliefs.items()])
    return max(0.0, _of_two(chance_yes) - left)


@functools.lru_cache(maxsize=4096)
def _of_two(chance: float) -> float:
    """Entropy of a yes or no, in bits."""
    if not 0 < chance < 1:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)


def leave_one_out(skill: Skill, answered: Mapping[str, Answered], cause: str) -> tuple[float, float]:
    """Lowest and highest belief in the cause when any one check is left out: how much hangs on one answer."""
    told = _told(skill, answered)
    weights = _weights(skill, told)
    values = [_normal(skill, weights)[cause]]
    for chance, yes in told:
        without = {one: weight / (chance[one] if yes else 1 - chance[one]) for one, weight in weights.items()}
        values.append(_normal(skill, without)[cause])
    return min(values), max(values)
