"""What a skill may ask and do: each question has a tool that knows it, each remediation an action of the guardrails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.checks import CHECKS
from agent.metric_checks import CAUSAL_CHECKS, CHANGE_CHECKS, METRIC_CHECKS
from guardrails.action import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agent.runbook.skill import Skill, Tool

QUESTIONS: Mapping[Tool, Collection[str]] = {
    "database": CHECKS, "metrics": METRIC_CHECKS, "changes": CHANGE_CHECKS, "causal": CAUSAL_CHECKS,
}  # fmt: skip


def problems(skill: Skill) -> tuple[str, ...]:
    """A sentence for each thing it names that is not there; empty when all is."""
    unknown = [
        f"skill {skill.name}: check {check.id}: the tool {check.tool} has no query {check.query!r}"
        for check in skill.checks.values()
        if check.query not in QUESTIONS[check.tool]
    ]
    unknown += [
        f"skill {skill.name}: remediation {fix.id}: {fix.action!r} is no action of the guardrails"
        for fix in skill.remediations
        if fix.action not in KINDS
    ]
    return tuple(unknown)
