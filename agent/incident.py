"""What an incident is: its states, and the working state the agent carries outside any transcript."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class IncidentState(StrEnum):
    RECEIVED = "received"
    INVESTIGATING = "investigating"
    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    NEEDS_HUMAN = "needs_human"
    RESOLVED = "resolved"
    SELF_RESOLVED = "self_resolved"
    CLOSED = "closed"


class Outcome(StrEnum):
    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    SELF_RESOLVED = "self_resolved"
    NO_ACTION = "no_action"


class ApprovalState(StrEnum):
    PENDING = "pending"
    PARTIALLY_APPROVED = "partially_approved"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class ExecutionState(StrEnum):
    AUTHORISED = "authorised"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ABORTING = "aborting"
    ABORTED = "aborted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class Mode(StrEnum):
    """How far Stanch may go on a target. OBSERVE is the default for a new one."""

    OBSERVE = "observe"
    PROPOSE = "propose"
    ACT = "act"


class Milestone(StrEnum):
    """Points in time that time-to-restore is measured between."""

    IMPACT_START = "impact_start"
    DETECTED = "detected"
    DIAGNOSED = "diagnosed"
    PROPOSED = "proposed"
    DECIDED = "decided"
    EXEC_START = "exec_start"
    EXEC_END = "exec_end"
    RESTORED = "restored"
    VERIFIED = "verified"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a check said, in short; the whole of it is the evidence row it names.

    status: yes | no | not_visible | note. evidence: id of the row, None when the check could not run. result: hash of
    what it said without what changes by itself (agent.brain.loops.result_hash); empty: nobody worked it out.
    """

    status: str
    summary: str
    evidence: int | None
    result: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that was tried, and what came of it: what loops are recognised by.

    tool and args say what (args canonical), result is a hash, look which look at the incident it belongs to, at_s when,
    in epoch seconds. entropy_bits: of the beliefs afterwards; None where it could not move them.
    """

    tool: str
    args: str
    result: str
    look: int
    at_s: float
    entropy_bits: float | None = None

    @property
    def asked(self) -> str:
        return f"{self.tool}:{self.args}"


@dataclass(frozen=True, slots=True)
class InFlight:
    """An action that is under way; checks under way are Working.pending. id: of the proposal, approval or execution."""

    kind: Literal["proposal", "approval", "execution", "rollback"]
    id: str


@dataclass(frozen=True, slots=True)
class ApprovalNote:
    """What became of one approval. persons: who decided."""

    id: str
    revision: int
    state: str
    persons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The cause the agent settled on. low and high: the belief with any one check left out."""

    cause: str
    title: str
    probability: float
    low: float
    high: float
    component: str | None


@dataclass(frozen=True, slots=True)
class Working:
    """Typed state of one investigation, kept outside any transcript.

    beliefs sum to 1; pending holds checks that are under way, in_flight what else is. look: 1, and one more each time a
    person asks for another. calls: what was tried, the newest last, over all looks; barred_calls: of them, what is not
    tried again, since it came to the same end again and again. pins: sha256 of each skill text that triage took, by
    name, so that a newer one does not move what is under way; empty: the skills came from no store.
    """

    beliefs: Mapping[str, float] = field(default_factory=dict)
    answered: Mapping[str, Answered] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    conclusion: Conclusion | None = None
    revision: int = 0
    refused: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()
    why: str = ""
    look: int = 1
    calls: tuple[Call, ...] = ()
    barred_calls: tuple[str, ...] = ()
    in_flight: tuple[InFlight, ...] = ()
    approvals: tuple[ApprovalNote, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Working:
        conclusion = data.get("conclusion")
        return cls(
            beliefs=dict(data.get("beliefs", {})),
            answered={name: Answered(**row) for name, row in data.get("answered", {}).items()},
            pending=tuple(data.get("pending", ())),
            conclusion=Conclusion(**conclusion) if conclusion else None,
            revision=data.get("revision", 0),
            refused=tuple(data.get("refused", ())),
            barred=tuple(data.get("barred", ())),
            why=data.get("why", ""),
            look=data.get("look", 1),
            calls=tuple(Call(**row) for row in data.get("calls", ())),
            barred_calls=tuple(data.get("barred_calls", ())),
            in_flight=tuple(InFlight(**row) for row in data.get("in_flight", ())),
            approvals=tuple(
                ApprovalNote(**{**row, "persons": tuple(row["persons"])}) for row in data.get("approvals", ())
            ),
            pins=dict(data.get("pins", {})),
        )


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as the store holds it.

    target: name of the database concerned, None when no configured one matches. mode: None until triage.
    milestones: only those reached.
    """

    id: int
    state: IncidentState
    outcome: Outcome | None
    version: int
    title: str
    service: str | None
    severity: str | None
    target: str | None
    mode: Mode | None
    skill: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    working: Working
    milestones: Mapping[Milestone, datetime]
    opened_at: datetime

    @property
    def key(self) -> str:
        return f"INC-{self.id}"

    @property
    def alertname(self) -> str:
        return self.labels.get("alertname", "")

    def reached(self, milestone: Milestone, at: datetime) -> Incident:
        """With the milestone set; the first time it is reached counts."""
        if milestone in self.milestones:
            return self
        return replace(self, milestones={**self.milestones, milestone: at})


OPEN_STATES = frozenset(IncidentState) - {IncidentState.RESOLVED, IncidentState.SELF_RESOLVED, IncidentState.CLOSED}
