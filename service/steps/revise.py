"""A person edits what is proposed: what waited is superseded, and the worker judges the edited action anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.events import RevisionAsked
from agent.incident import ApprovalState
from agent.machine import IllegalTransition
from guardrails.action import UnknownAction, action_from_params, action_to_params, render
from guardrails.sql.rendered import differences
from service.steps.approve import Declined, hold, not_waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.store.store import Row
    from guardrails.policy import Policy
    from service.steps.runner import Runner


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person wants instead. revision and digest: what the person saw; params: all of them, as the action names
    them; the kind of action stays.
    """

    revision: int
    digest: str
    params: Mapping[str, Any]
    person: str
    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """Nothing of the old revision can be approved any more; the next one follows once the guardrail allowed it."""

    incident: str
    revision: int


def revise(runner: Runner, policy: Policy, approval_id: str, edit: Edit) -> Superseded | Declined:
    """Voids the waiting approval and asks the worker for the next revision, in one transaction. Raises Unreachable.

    Declined "unusable": the edited parameters are no action of this kind; what waited still waits.
    """
    try:
        return _revise(runner, policy, approval_id, edit)
    except IllegalTransition as error:
        return Declined("conflict", str(error), {})


def _revise(runner: Runner, policy: Policy, approval_id: str, edit: Edit) -> Superseded | Declined:
    with runner.store.transaction() as tx:
        held = hold(tx, approval_id)
        if held is None:
            return Declined("unknown", "there is no such approval", {})
        incident, row, proposal = held
        declined = _not_allowed(policy, proposal, edit) or not_waiting(row, incident.state, edit.revision, edit.digest)
        declined = declined or _unusable(proposal, edit.params)
        if declined is not None:
            tx.audit(incident.id, edit.person, "EditRefused", {"note": declined.why, "channel": edit.channel})
            return declined
        tx.one("end_approval", id=row["id"], state=ApprovalState.SUPERSEDED)
        tx.audit(
            incident.id,
            edit.person,
            "Edited",
            {"note": f"revision {edit.revision} edited by {edit.person}", "params": dict(edit.params),
             "digest": edit.digest, "channel": edit.channel, "reason": edit.reason},
        )  # fmt: skip
        runner.apply(tx, incident, RevisionAsked(edit.person, edit.params, edit.reason), actor=edit.person)
        return Superseded(incident.key, edit.revision + 1)


def _not_allowed(policy: Policy, proposal: Row, edit: Edit) -> Declined | None:
    """Who may approve may edit; whether they may also approve their own edit is asked when they do."""
    if not policy.may_approve(edit.person, proposal["target"]):
        return Declined("forbidden", f"{edit.person} is not on the approver list for {proposal['target']}", {})
    return None


def _unusable(proposal: Row, params: Mapping[str, Any]) -> Declined | None:
    try:
        action = action_from_params(proposal["action"], params)
        rendered = render(action, str(proposal["id"]))
    except UnknownAction as error:
        return Declined("unusable", str(error), {"params": proposal["params"]})
    if wrong := differences(action, rendered):
        return Declined("unusable", "; ".join(wrong), {"params": proposal["params"]})
    if action_to_params(action) == proposal["params"]:
        return Declined("unusable", "nothing was changed", {"params": proposal["params"]})
    return None
