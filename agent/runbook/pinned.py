"""The skill an incident was triaged with, also after a newer text of it came into use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Incident
    from agent.runbook.skill import Skill


@runtime_checkable
class Versioned(Protocol):
    """Skills of which more than one version may be in use at the same time."""

    def pinned(self, name: str, pins: Mapping[str, str]) -> Skill | None:
        """The skill as it was with these texts (sha256 by name). None: that version can no longer be read."""
        ...


def skill_of(skills: Mapping[str, Skill], incident: Incident) -> Skill | None:
    """None before triage, and for a version that can no longer be read: nothing goes on with another in its place."""
    name, pins = incident.skill, incident.working.pins
    if name is None:
        return None
    if pins and isinstance(skills, Versioned):
        return skills.pinned(name, pins)
    return skills.get(name)
