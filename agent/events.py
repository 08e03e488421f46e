"""What can happen to an incident. A step's result comes back as one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.incident import Answered, Mode


@dataclass(frozen=True, slots=True)
class Triaged:
    """The alert is understood: which skill, which target, how far Stanch may go there.

    impact_start: when the alert's condition became true, which is before it fired; None when nobody can say.
    """

    skill: str
    target: str | None
    mode: Mode
    service: str | None
    impact_start: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckAnswered:
    check: str
    answer: Answered


@dataclass(frozen=True, slots=True)
class ProposalDrafted:
    """The guardrail allowed the action and the proposal is in the store."""

    proposal_id: str
    revision: int
    command: str


@dataclass(frozen=True, slots=True)
class ProposalRefused:
    """No action is proposed; reasons are sentences for a human."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApprovalOpened:
    approval_id: str


@dataclass(frozen=True, slots=True)
class ApprovalGranted:
    persons: tuple[str, ...]
    execution_id: str


@dataclass(frozen=True, slots=True)
class ApprovalDenied:
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalExpired:
    pass


@dataclass(frozen=True, slots=True)
class RevisionAsked:
    """A person wants the fix with other parameters; what waited for a decision is void."""

    person: str
    params: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    phase: Literal["run", "rollback"]
    at: datetime


@dataclass(frozen=True, slots=True)
class ExecutionEnded:
    """status: finished | failed | aborted (nothing ran) | unknown | rolled_back."""

    phase: Literal["run", "rollback"]
    status: Literal["finished", "failed", "aborted", "unknown", "rolled_back"]
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class VerificationSampled:
    """verdict: pending means that the window is not over. restored_at: start of the good window."""

    verdict: Literal["pending", "recovered", "not_recovered", "regressed", "inconclusive"]
    summary: str
    restored_at: datetime | None
    rollback_approved: bool


@dataclass(frozen=True, slots=True)
class RollbackAuthorised:
    execution_id: str


@dataclass(frozen=True, slots=True)
class AlertsResolved:
    """Every alert of the incident is resolved by its source."""


@dataclass(frozen=True, slots=True)
class SiblingsSwept:
    """After a verified fix somebody looked where else the same is wrong. summary: what was found, in a sentence."""

    summary: str


@dataclass(frozen=True, slots=True)
class PostmortemWritten:
    path: str


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step gave up after its attempts. check: set when it was a check."""

    kind: str
    error: str
    check: str | None = None


@dataclass(frozen=True, slots=True)
class HumanAsked:
    """A human wants another look; what was barred is allowed again."""

    person: str


@dataclass(frozen=True, slots=True)
class HumanClosed:
    person: str
    reason: str


Event = (
    Triaged
    | CheckAnswered
    | ProposalDrafted
    | ProposalRefused
    | ApprovalOpened
    | ApprovalGranted
    | ApprovalDenied
    | ApprovalExpired
    | RevisionAsked
    | ExecutionStarted
    | ExecutionEnded
    | VerificationSampled
    | RollbackAuthorised
    | AlertsResolved
    | SiblingsSwept
    | PostmortemWritten
    | StepFailed
    | HumanAsked
    | HumanClosed
)
