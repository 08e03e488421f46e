"""Beliefs over causes: Bayes' rule over answered checks, with room kept for a cause nobody listed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Answered
    from agent.runbook.skill import Check, Skill


def posterior(skill: Skill, answered: Mapping[str, Answered], *, without: str | None = None) -> dict[str, float]:
    """Belief in each cause given the answers; sums to 1. A check that could not see moves nothing."""
    log = {cause: math.log(prior) for cause, prior in skill.priors().items()}
    for name, answer in answered.items():
        check = skill.checks.get(name)
        if check is None or check.gathers or name == without or answer.status not in {"yes", "no"}:
            continue
        for cause, chance in check.yes_given.items():
            log[cause] += math.log(chance if answer.status == "yes" else 1 - chance)
    top = max(log.values())
    weight = {cause: math.exp(value - top) for cause, value in log.items()}
    total = sum(weight.values())
    return _with_floor({cause: value / total for cause, value in weight.items()}, skill.parameters.floor)


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
    """Bits that asking the check is expected to bring."""
    chance_yes = sum(beliefs[cause] * check.yes_given[cause] for cause in beliefs)
    if not 0 < chance_yes < 1:
        return 0.0
    yes = {c: beliefs[c] * check.yes_given[c] / chance_yes for c in beliefs}
    no = {c: beliefs[c] * (1 - check.yes_given[c]) / (1 - chance_yes) for c in beliefs}
    return entropy(beliefs) - chance_yes * entropy(yes) - (1 - chance_yes) * entropy(no)


def leave_one_out(skill: Skill, answered: Mapping[str, Answered], cause: str) -> tuple[float, float]:
    """Lowest and highest belief in the cause when any one check is left out: how much hangs on one answer."""
    values = [posterior(skill, answered)[cause]]
    values += [posterior(skill, answered, without=name)[cause] for name in answered]
    return min(values), max(values)
