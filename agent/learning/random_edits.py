"""Edits that look at nothing: what a search without learning would try. The placebo that every gain is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.learning.apply import STRENGTHS, paths_of
from agent.learning.edits import Edit, Prediction
from agent.learning.ideas import STEPS
from agent.learning.tree import hash_of
from agent.replay.case import question
from agent.runbook.skill import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np

    from agent.runbook.skill import Skill

AT_ONCE = 6


def random_edits(
    tree: Mapping[str, str],
    skills: Mapping[str, Skill],
    rng: np.random.Generator,
    *,
    catalogue: Collection[str],
    seed: int,
) -> tuple[tuple[Edit, str], ...]:
    """AT_ONCE edits of random operators with random arguments; the gate is the same as for any other."""
    names = sorted(skills)
    edits = []
    for _ in range(AT_ONCE):
        skill = skills[names[int(rng.integers(len(names)))]]
        operator = sorted(_MAKERS)[int(rng.integers(len(_MAKERS)))]
        edit = Edit(
            op=operator,
            skill=skill.name,
            before=hash_of(tree, paths_of(operator, skill.name, tree)),
            args=_MAKERS[operator](skill, rng, catalogue),
            hypothesis="drawn at random",
            predicted=Prediction("utility", (), 1, 0.0),
            evidence=(),
            proposer="random",
            seed=seed,
        )
        edits.append((edit, "random"))
    return tuple(edits)


def _one(values: Collection[str], rng: np.random.Generator) -> str:
    ordered = sorted(values)
    return ordered[int(rng.integers(len(ordered)))]


def _stop(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    field = _one(STEPS, rng)
    steps = STEPS[field]
    step = steps[int(rng.integers(len(steps)))]
    return {"field": field, "value": round(getattr(skill.stop, field) + step, 3)}


def _prior(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    return {"cause": _one(skill.causes, rng), "prior": round(float(rng.uniform(0.02, 0.6)), 3)}


def _link(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    return {"check": _one(skill.checks, rng), "cause": _one(skill.causes, rng), "strength": _one(STRENGTHS, rng)}


def _new_check(skill: Skill, rng: np.random.Generator, catalogue: Collection[str]) -> dict[str, Any]:
    asked = {question(check) for check in skill.checks.values()}
    tool, _, query = _one(set(catalogue) - asked or catalogue, rng).partition(":")
    supports = {_one(skill.causes, rng): _one(STRENGTHS, rng) for _ in range(3)}
    return {"check": {"id": query, "tool": tool, "query": query, "cost_s": 0.2, "supports": supports}}


def _old_check(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    return {"check": _one(skill.checks, rng)}


def _first(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    free = [check.id for check in skill.checks.values() if not check.needs]
    size = 1 + int(rng.integers(min(3, len(free))))
    return {"first": [free[int(place)] for place in rng.permutation(len(free))[:size]]}


def _place(skill: Skill, rng: np.random.Generator, _catalogue: Collection[str]) -> dict[str, Any]:
    return {"cause": _one(skill.causes, rng), "component": _one(COMPONENTS, rng)}


_MAKERS: Mapping[str, Callable[[Skill, np.random.Generator, Collection[str]], dict[str, Any]]] = {
    "set_stop": _stop,
    "set_prior": _prior,
    "set_support_strength": _link,
    "add_cause_link": _link,
    "add_check": _new_check,
    "drop_check": _old_check,
    "reorder_first": _first,
    "set_component": _place,
}
"""No parameter of the brain among them: a search over those can gain without having learnt anything."""
