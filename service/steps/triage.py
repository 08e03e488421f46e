"""Triage: which skill, which target, how far Stanch may go. A source's alert reaches only the targets it may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.events import Triaged
from agent.incident import Mode
from agent.runbook.match import pick
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.incident import Incident
    from agent.ports import Metrics
    from agent.runbook.skill import Skill
    from service.configuration import Configuration
    from service.steps.runner import Handler, Held, Save

GENERIC = "generic-triage"
"""The skill for everything no other fits: it investigates, reports and asks a human."""


def triage(configuration: Configuration, skills: Mapping[str, Skill], metrics: Metrics | None) -> Handler:
    def handle(held: Held) -> Save:
        with held.runner.store.transaction() as tx:
            incident = tx.incident(held.step.incident_id or 0)
            opened = tx.one("incident_source", id=held.step.incident_id)
        if incident is None:
            raise Unreachable("store", "the incident is gone", permanent=True)
        source = (opened or {}).get("source") or "alertmanager"
        target, _ = configuration.target_allowed(source, incident.labels)
        skill = pick(skills.values(), incident.labels, has_target=target is not None) or skills[GENERIC]
        mode = configuration.targets[target].mode if target else Mode.OBSERVE
        event = Triaged(skill.name, target, mode, incident.labels.get("service"), _impact(metrics, incident))
        return lambda _tx: event

    return handle


def _impact(metrics: Metrics | None, incident: Incident) -> datetime | None:
    """Since when the rule's condition holds; startsAt is when it fired, `for` later."""
    if metrics is None:
        return None
    try:
        return metrics.active_since(incident.alertname, incident.labels)
    except Unreachable:
        return None
