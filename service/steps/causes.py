"""The causal queue's steps: rank the services round the alert, then say how much each accounts for."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from agent.causal_check import SIGNAL, answered, pull, ranked
from causal.attribution import Attribution, NotAttributed
from causal.attribution import attribute as explain
from causal.report import as_data
from causal.series import SeriesName
from causal.step import Step, step_at
from service.steps import evidence
from service.steps.evidence import Found, Status
from service.steps.investigate import around, expression_of, load_incident

if TYPE_CHECKING:
    from agent.causal_check import Around
    from agent.events import Event
    from agent.incident import Incident
    from agent.runbook.skill import Check, Skill
    from causal.rank import Ranking
    from causal.series import Frame
    from connectors.store.store import Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

__all__ = ["SIGNAL", "ask_causal", "attribute"]


def ask_causal(ports: Ports, incident: Incident, skill: Skill, asked: Check) -> Found:  # noqa: ARG001 one signature
    """Checks of the queue `causal`, as agent.causal_check answers them."""
    looked, frame, target = _pulled(ports, incident)
    answer = answered(looked, asked.query, frame, target, seed=incident.id)
    return Found(answer.status, answer.summary, answer.data)


def attribute(ports: Ports) -> Handler:
    """How large the alert's change is and how much of it the leading services account for, each with an interval."""

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        looked, frame, target = _pulled(ports, incident)
        if frame is None or target is None:
            return _note(held, Found("not_visible", "no series of the alert's own signal to attribute", {}))
        ranking = ranked(looked, frame, target, seed=incident.id)
        found = explain(frame, ranking, looked.calls(), target, seed=incident.id)
        status, text = _told(found)
        step = _step(frame, ranking, target)
        data = as_data(ranking, found)["attribution"] | {"step": None if step is None else asdict(step)}
        if step is not None:
            text += f"; the alert's signal stepped by {step.effect:+.3g} ({step.low:+.3g} to {step.high:+.3g})"
        return _note(held, Found(status, text, data))

    return handle


def _told(found: Attribution | NotAttributed) -> tuple[Status, str]:
    if isinstance(found, NotAttributed):
        return "not_visible", f"not attributed: {found.reason}"
    best = max(found.shares, key=lambda share: abs(share.effect), default=None)
    if best is None:
        return "note", "no candidate explains the signal"
    doubt = "; refuted: normal life shows as much" if best.refuted else ""
    return "note", (
        f"{best.series.service} {best.series.metric} accounts for {best.effect:+.3g} of {found.change:+.3g} "
        f"({best.low:+.3g} to {best.high:+.3g}){doubt}"
    )


def _step(frame: Frame, ranking: Ranking, target: str) -> Step | None:
    values = frame.column(SeriesName.parse(target))
    if ranking.change is None or values is None:
        return None
    return step_at(frame.times, values, ranking.change.time)


def _note(held: Held, found: Found) -> Save:
    def save(tx: Transaction) -> Event | None:
        evidence.store(tx, held.step, "attribution", "causal", found)
        tx.audit(held.step.incident_id, "worker", "Attributed", {"note": found.summary})
        return None

    return save


def _pulled(ports: Ports, incident: Incident) -> tuple[Around, Frame | None, str | None]:
    looked = around(ports, incident)
    if ports.metrics is None:
        return looked, None, None
    looked = replace(looked, expr=expression_of(ports.metrics, ports, incident))
    return looked, *pull(ports.metrics, looked)
