"""A skill composed with those it names under `with`: its own causes and checks first, theirs where it has none.

Composition is flat: of the others only what stands in their own files counts. Of what several have, the first in this
order counts: the skill itself, then the others as they are named. About each cause a check says what the first of its
holders wrote who knows the cause. first and stop are the skill's own, so are its name and its place in triage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.replay.case import MECHANISMS
from agent.runbook.files import checked, digest
from agent.runbook.skill import UnusableSkill, hold_together, read, yes_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.brain.parameters import BrainParameters
    from agent.runbook.skill import Cause, Check, Remediation, Skill


def load(texts: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, Skill], dict[str, str]]:
    """Every skill that is whole, by name, and for each other the reason. texts: the files of each folder by name.

    A skill whose part cannot be read is not whole: without that part it would take other causes for its own.
    """
    parts: dict[str, Skill] = {}
    problems: dict[str, str] = {}
    for name in sorted(texts):
        try:
            parts[name] = part(name, texts[name])
        except UnusableSkill as wrong:
            problems[name] = str(wrong)
    whole: dict[str, Skill] = {}
    for name, one in parts.items():
        try:
            whole[name] = composed(one, parts)
        except UnusableSkill as wrong:
            problems[name] = str(wrong)
    return whole, problems


def part(name: str, files: Mapping[str, str]) -> Skill:
    """One skill by itself, pinned to its own text. Raises UnusableSkill."""
    return replace(read(name, checked(name, files)), pins={name: digest(files)})


def composed(skill: Skill, parts: Mapping[str, Skill]) -> Skill:
    """The whole skill. parts: skills as they were read, by name. Raises UnusableSkill."""
    if missing := sorted(set(skill.composed_with) - set(parts)):
        raise UnusableSkill(f"skill {skill.name}: with: there is no skill {missing[0]!r} that can be read")
    holders = [skill, *(parts[name] for name in skill.composed_with)]
    if len(holders) == 1:
        return skill
    try:
        return _merged(skill, holders)
    except ValueError as wrong:
        raise UnusableSkill(f"skill {skill.name}: {wrong}") from wrong


def _merged(skill: Skill, holders: list[Skill]) -> Skill:
    causes: dict[str, Cause] = {}
    for holder in holders:
        weight = skill.composed_with.get(holder.name, 1.0)
        for cause in holder.causes.values():
            causes.setdefault(cause.id, replace(cause, prior=cause.prior * weight))
    for name, check in skill.checks.items():  # a word of its own about a cause that nobody declares is a slip
        if unknown := sorted(set(check.supports) - set(causes) - set(MECHANISMS)):
            raise ValueError(f"cause {unknown[0]!r} is named by check {name} but not declared")
    names = dict.fromkeys(name for holder in holders for name in holder.checks)
    whole = replace(
        skill,
        causes=causes,
        checks={name: _check(name, holders, causes, skill.parameters) for name in names},
        remediations=_remediations(holders),
        pins={name: pin for holder in reversed(holders) for name, pin in holder.pins.items()},
    )
    hold_together(whole)
    return whole


def _remediations(holders: list[Skill]) -> tuple[Remediation, ...]:
    """Those of the first who has any for a cause."""
    chosen: dict[str, list[Remediation]] = {}
    for holder in holders:
        taken = set(chosen)
        for fix in holder.remediations:
            if fix.cause not in taken:
                chosen.setdefault(fix.cause, []).append(fix)
    found = tuple(fix for fixes in chosen.values() for fix in fixes)
    if len({fix.id for fix in found}) < len(found):
        raise ValueError("two remediations of different causes have one id")
    return found


def _check(name: str, holders: list[Skill], causes: Mapping[str, Cause], parameters: BrainParameters) -> Check:
    having = [(holder, holder.checks[name]) for holder in holders if name in holder.checks]
    _, first = having[0]
    for holder, check in having[1:]:
        if (first.tool, first.query) != (check.tool, check.query):
            asks = f"{first.tool}:{first.query}"
            raise ValueError(f"check {name!r} asks {asks}, and in {holder.name} {check.tool}:{check.query}")
    supports = {cause: _word(cause, having) for cause in causes}
    return replace(first, supports=supports, yes_given=yes_given(causes, supports, first.otherwise, parameters))


def _word(cause: str, having: list[tuple[Skill, Check]]) -> str:
    for holder, check in having:
        if cause in check.supports or cause in holder.causes:
            return check.supports.get(cause, check.otherwise)
    return having[0][1].otherwise
