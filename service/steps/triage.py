"""Triage: which skill, which target, how far Stanch may go. A source's alert reaches only the targets it may name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from agent.events import Triaged
from agent.incident import Mode
from agent.runbook.discovery import candidates, discovered
from agent.runbook.match import GENERIC
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.events import Event
    from agent.incident import Incident
    from agent.ports import Metrics
    from agent.runbook.discovery import Candidate
    from agent.runbook.skill import Skill
    from connectors.store.store import Transaction
    from service.configuration import Configuration
    from service.steps.runner import Handler, Held, Save


def triage(configuration: Configuration, skills: Mapping[str, Skill], metrics: Metrics | None) -> Handler:
    def handle(held: Held) -> Save:
        with held.runner.store.transaction() as tx:
            incident = tx.incident(held.step.incident_id or 0)
            opened = tx.one("incident_source", id=held.step.incident_id)
        if incident is None:
            raise Unreachable("store", "the incident is gone", permanent=True)
        source = (opened or {}).get("source") or "alertmanager"
        target, _ = configuration.target_allowed(source, incident.labels)
        found = candidates(skills.values(), incident.labels, incident.annotations, has_target=target is not None)
        skill = skills.get(discovered(found) or GENERIC)
        name = skill.name if skill is not None else GENERIC
        mode = configuration.targets[target].mode if target else Mode.OBSERVE
        event = Triaged(name, target, mode, incident.labels.get("service"), _impact(metrics, incident))
        told = {"note": _told(found, name), "candidates": [asdict(one) for one in found]}
        problems = dict(getattr(skills, "problems", {}))

        def save(tx: Transaction) -> Event:
            tx.audit(incident.id, "worker", "SkillsConsidered", told)
            for broken, why in problems.items():
                note = f"nothing runs on skill {broken}: {why}; a person has to repair or revert it"
                tx.audit(incident.id, "worker", "SkillUnreadable", {"note": note, "skill": broken})
            return event

        return save

    return handle


def _told(found: tuple[Candidate, ...], chosen: str) -> str:
    """Which skills were considered, best first, in a line."""
    if not found:
        return f"no skill's matchers fit and none is alike: {chosen}"
    considered = ", ".join(f"{one.skill} ({one.how} {one.score:g})" for one in found)
    return f"considered {considered}; chosen: {chosen}"


def _impact(metrics: Metrics | None, incident: Incident) -> datetime | None:
    """Since when the rule's condition holds; startsAt is when it fired, `for` later."""
    if metrics is None:
        return None
    try:
        return metrics.active_since(incident.alertname, incident.labels)
    except Unreachable:
        return None
