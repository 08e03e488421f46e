"""Short-term memory: what is under way and what became of approvals, kept in the typed working state as events come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from agent.events import (
    AlertsResolved,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOpened,
    ExecutionEnded,
    ProposalDrafted,
    ProposalRefused,
    RevisionAsked,
    RollbackAuthorised,
    StepFailed,
)
from agent.incident import ApprovalNote, ApprovalState, IncidentState, InFlight

if TYPE_CHECKING:
    from agent.events import Event
    from agent.incident import Working


def followed(working: Working, event: Event, state: IncidentState) -> Working:
    """With what the event puts under way or ends. state: the incident's, after the event.

    An execution whose end nobody knows stays under way: it may still be running.
    """
    match event:
        case ProposalDrafted(proposal_id):
            waits = state is IncidentState.INVESTIGATING
            return replace(working, in_flight=(InFlight("proposal", proposal_id),) if waits else ())
        case ApprovalOpened(approval_id):
            note = ApprovalNote(approval_id, working.revision, ApprovalState.PENDING)
            flying = (InFlight("approval", approval_id),)
            return replace(working, in_flight=flying, approvals=(*working.approvals, note))
        case ApprovalGranted() | ApprovalDenied() | ApprovalExpired() | RevisionAsked():
            return _decided(working, event)
        case RollbackAuthorised(execution_id):
            return replace(working, in_flight=(InFlight("rollback", execution_id),))
        case AlertsResolved() if state is IncidentState.SELF_RESOLVED:
            return _ended(working, ApprovalState.CANCELLED, ())
        case ExecutionEnded(_, "finished" | "failed" | "aborted" | "rolled_back"):
            return replace(working, in_flight=())
        case ProposalRefused() | StepFailed("propose" | "open_approval"):
            return replace(working, in_flight=())
        case _:
            return working


def _decided(working: Working, event: ApprovalGranted | ApprovalDenied | ApprovalExpired | RevisionAsked) -> Working:
    match event:
        case ApprovalGranted(persons, execution_id):
            decided = _ended(working, ApprovalState.APPROVED, persons)
            return replace(decided, in_flight=(InFlight("execution", execution_id),))
        case ApprovalDenied(person):
            return _ended(working, ApprovalState.DENIED, (person,))
        case RevisionAsked(person):
            return _ended(working, ApprovalState.SUPERSEDED, (person,))
        case ApprovalExpired():
            return _ended(working, ApprovalState.EXPIRED, ())
        case _:
            assert_never(event)


def _ended(working: Working, state: ApprovalState, persons: tuple[str, ...]) -> Working:
    """The open approval has ended, and nothing is under way; those that had ended before stay as they were."""
    approvals = tuple(
        replace(one, state=state, persons=persons) if one.state == ApprovalState.PENDING else one
        for one in working.approvals
    )
    return replace(working, in_flight=(), approvals=approvals)
