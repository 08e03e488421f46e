"""Which skill fits an alert: deterministic, and "none" is a legal answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.runbook.skill import Skill


GENERIC = "generic-triage"
"""The skill for everything no other fits: it investigates, reports and asks a human."""


def score(skill: Skill, labels: Mapping[str, str]) -> float:
    """Sum of the weights of the matchers that match in full."""
    return sum(m.weight for m in skill.matchers if m.pattern.fullmatch(labels.get(m.label, "")))


def fits(skill: Skill, labels: Mapping[str, str]) -> bool:
    """Whether its matchers reach its bar and none of those that exclude it matches."""
    if not skill.matchers or any(m.pattern.fullmatch(labels.get(m.label, "")) for m in skill.excluded):
        return False
    return score(skill, labels) >= skill.match_at_least


def pick(skills: Iterable[Skill], labels: Mapping[str, str], *, has_target: bool) -> Skill | None:
    """The best skill whose score reaches its own bar; ties go to the name that sorts first. None: no skill fits."""
    fitting = [skill for skill in skills if (has_target or not skill.needs_target) and fits(skill, labels)]
    return min(fitting, key=lambda skill: (-score(skill, labels), skill.name), default=None)
