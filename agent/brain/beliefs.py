"""Beliefs over causes: Bayes' rule over answered checks, with room kept for a cause nobody listed."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING

from agent.brain.entropy import bits_of
from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.incident import Answered
    from agent.runbook.skill import Skill

_TELLING = frozenset({"yes", "no"})


def posterior(skill: Skill, answered: Mapping[str, Answered]) -> dict[str, float]:
    """Belief in each cause given the answers; sums to 1. A check that could not see moves nothing."""
    return _normal(skill, _weights(skill, _told(skill, answered)))


def _told(skill: Skill, answered: Mapping[str, Answered]) -> list[tuple[float, ...]]:
    """The likelihood, cause by cause, of what each check said that said yes or no."""
    return [
        skill.likelihoods[name][answer.status == "yes"]
        for name, answer in answered.items()
        if answer.status in _TELLING and name in skill.likelihoods
    ]


def _weights(skill: Skill, told: Sequence[tuple[float, ...]]) -> Sequence[float]:
    """Not yet normal, in the order of causes. Products, not sums of logs: chances stay above 0.01, so a hundred answers
    are far from the smallest number there is.
    """
    weights: Sequence[float] = skill.prior_shares
    for likelihood in told:
        weights = list(map(mul, weights, likelihood))
    return weights


def _normal(skill: Skill, weights: Sequence[float]) -> dict[str, float]:
    total = sum(weights)
    beliefs = {cause: weight / total for cause, weight in zip(skill.causes, weights, strict=True)}
    return _with_floor(beliefs, skill.parameters.floor)


def _with_floor(beliefs: dict[str, float], floor: float) -> dict[str, float]:
    """none_of_these never falls below it: a skill's list of causes is never the whole world."""
    open_world = beliefs[NONE_OF_THESE]
    if open_world >= floor:
        return beliefs
    shrink = (1 - floor) / (1 - open_world)
    return {cause: floor if cause == NONE_OF_THESE else p * shrink for cause, p in beliefs.items()}


def expected_gain(skill: Skill, name: str, beliefs: Mapping[str, float]) -> float:
    """Bits that asking a check is expected to bring: what its answer and the cause tell of each other, which is the
    uncertainty of the answer less what is left of it when the cause is known. 0 for one that only gathers.
    """
    told = skill.likelihoods.get(name)
    if told is None:
        return 0.0
    shares = [beliefs[cause] for cause in skill.causes]
    chance_yes, left = sum(map(mul, shares, told.yes)), sum(map(mul, shares, told.bits))
    return max(0.0, bits_of(chance_yes) - left) if 0 < chance_yes < 1 else 0.0


def leave_one_out(skill: Skill, answered: Mapping[str, Answered], cause: str) -> tuple[float, float]:
    """Lowest and highest belief in the cause when any one check is left out: how much hangs on one answer."""
    told = _told(skill, answered)
    weights = _weights(skill, told)
    values = [_normal(skill, weights)[cause]]
    for likelihood in told:
        without = [weight / chance for weight, chance in zip(weights, likelihood, strict=True)]
        values.append(_normal(skill, without)[cause])
    return min(values), max(values)
