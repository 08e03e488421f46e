"""What a diagnosis found: one incident, why it is that one, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - from_data() reads the hints
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agent.database.snapshot import NotVisible
from agent.database.value import Value
from guardrails.action import Action, action_from_params, action_to_params, render
from guardrails.sql.lock import Mode

Severity: TypeAlias = Literal["critical", "warning", "notice"]
"""critical: users feel it now, or data is in danger. warning: it will be felt. notice: worth knowing."""

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "notice")

_REPORTED_AS = "diagnosis"
"""The proposal a report renders for; what gets created is named anew from the real proposal's id."""


@dataclass(frozen=True, slots=True)
class ProposedAction(Value):
    """A typed action, rendered. kind and params are what action_from_params() takes.

    command, cleanup and rollback are exact SQL, empty where there is none. lock is the strongest one on any relation,
    in PostgreSQL's spelling; role is which of a target's three writing roles runs it: fix, signal or admin.
    """

    kind: str
    params: Mapping[str, Any]
    command: str
    cleanup: str
    rollback: str
    lock: str
    role: str

    def action(self) -> Action:
        return action_from_params(self.kind, self.params)


def proposed(action: Action) -> ProposedAction:
    """The action as a finding shows it. That it was built at all means that its parameters are valid."""
    rendered = render(action, _REPORTED_AS)
    return ProposedAction(
        kind=action.kind,
        params=action_to_params(action),
        command=rendered.command,
        cleanup=rendered.cleanup,
        rollback=rendered.rollback,
        lock="" if not rendered.relations and action.strongest is Mode.ACCESS_SHARE else action.strongest.spelling,
        role=action.connection,
    )


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """One incident on a target.

    incident_class: a name of agent.database.classes.CLASSES. title: one line. evidence: sentences with figures.
    action: None where no safe one exists; advice then says what a human does, and may add to an action otherwise.
    ruled_out: why it is this and not a look-alike, a sentence each. verification, rollback and privilege: a sentence
    each; rollback "" = nothing to undo. diagram: lines of text, such as a blocking tree; "" = none.
    data: the figures behind the evidence, JSON-ready, for skills and machines. further_actions: more of the same kind,
    such as the other sessions to end; each is decided by itself.
    """

    incident_class: str
    severity: Severity
    title: str
    evidence: tuple[str, ...]
    action: ProposedAction | None
    advice: str
    ruled_out: tuple[str, ...]
    verification: str
    rollback: str
    privilege: str
    diagram: str
    data: Mapping[str, Any]
    further_actions: tuple[ProposedAction, ...] = ()


Judgement: TypeAlias = tuple[Finding | NotVisible, ...]
"""What one incident class says: findings, and what it could not see. Empty: it looked, and there is none."""
