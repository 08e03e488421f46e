"""Which of a cause's remediations the evidence asks for.

A diagnosis proposes one action for what it found, and for one cause that can be this or that: an idle holder of a lock
is terminated, a working one is cancelled. A skill then has a remediation for each, with the same `params` path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.runbook.parameters import FromEvidence, MissingEvidence, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.runbook.skill import Remediation, Skill

_PARAMS, _KIND = "params", "kind"


def fitting(skill: Skill, remediation_id: str, evidence: Mapping[str, Mapping[str, Any]]) -> Remediation:
    """The remediation, or another one for the same cause when the evidence beside its parameters names that action.

    evidence: a check's data by its name.

    Raises:
        MissingEvidence: the evidence asks for an action that the skill has no remediation with.
    """
    asked = next(fix for fix in skill.remediations if fix.id == remediation_id)
    wanted = _kind_wanted(asked, evidence)
    if wanted is None or wanted == asked.action:
        return asked
    for fix in skill.remediations:
        if fix.cause == asked.cause and fix.action == wanted:
            return fix
    raise MissingEvidence(f"{asked.params_from} asks for {wanted[:60]}, which {skill.name} may not propose")


def _kind_wanted(fix: Remediation, evidence: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The action that stands in the evidence beside the parameters; None where none does."""
    if not isinstance(fix.params, FromEvidence) or fix.params.path[-1] != _PARAMS:
        return None
    try:
        kind = walk(evidence.get(fix.params_from, {}), (*fix.params.path[:-1], _KIND), "no action")
    except MissingEvidence:
        return None
    return kind if isinstance(kind, str) else None
