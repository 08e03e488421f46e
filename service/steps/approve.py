"""What only the API may do: open an approval, take decisions, sign permits, let a rollback run."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.events import ApprovalDenied, ApprovalExpired, ApprovalGranted, ApprovalOpened, RollbackAuthorised
from agent.incident import ApprovalState, IncidentState
from agent.machine import IllegalTransition, approval_after
from connectors.unreachable import Unreachable
from guardrails.canonical import timestamp
from guardrails.permit import digest, sign

if TYPE_CHECKING:
    from agent.events import Event
    from agent.incident import Incident
    from connectors.store.store import Row, Transaction
    from guardrails.permit import SigningKey
    from guardrails.policy import Policy
    from service.steps.runner import Held, Runner, Save

WAITING = (ApprovalState.PENDING, ApprovalState.PARTIALLY_APPROVED)


@dataclass(frozen=True, slots=True)
class Ask:
    """One person's decision as it came in. revision and digest: what the person saw."""

    decision: Literal["approve", "deny"]
    revision: int
    digest: str
    person: str
    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The decision is durable."""

    state: ApprovalState
    approved_by: tuple[str, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class Declined:
    """Not taken. kind: forbidden (not this person, or not here), conflict (the world moved on; current says how),
    unknown (no such approval), unusable (an edit that is no action).
    """

    kind: Literal["forbidden", "conflict", "unknown", "unusable"]
    why: str
    current: dict[str, Any]


def take(runner: Runner, policy: Policy, key: SigningKey, approval_id: str, ask: Ask) -> Taken | Declined:
    """Decision, permit, audit row, execution and its step in one transaction. Raises Unreachable."""
    with runner.store.transaction() as tx:
        held = hold(tx, approval_id)
        if held is None:
            return Declined("unknown", "there is no such approval", {})
        incident, row, proposal = held
        declined = _declined(policy, row, proposal, incident.state, ask)
        if declined is not None:
            tx.audit(incident.id, ask.person, "DecisionRefused", {"note": declined.why, "channel": ask.channel})
            return declined
        people = [one["person"] for one in tx.all("decisions", approval=approval_id) if one["decision"] == "approve"]
        if ask.person in people:
            return Declined("conflict", f"{ask.person} decided before", _current(row))
        if ask.decision == "approve":
            people.append(ask.person)
        state = approval_after(ApprovalState(row["state"]), ask.decision, len(people), row["approvers_needed"])
        settled = _settle(tx, row, ask, state)
        if settled is None:
            return Declined("conflict", "the time to decide is over", _current(row))
        if ask.decision == "approve":
            _permit(tx, key, row, ask, settled)
        event = _event(tx, row, ask, state, tuple(people))
        tx.audit(
            incident.id,
            ask.person,
            "Decided",
            {"note": f"{ask.decision} by {ask.person}", "digest": ask.digest, "revision": ask.revision,
             "channel": ask.channel, "reason": ask.reason},
        )  # fmt: skip
        if event is not None:
            runner.apply(tx, incident, event, actor=ask.person)
        return Taken(state, tuple(people), row["approvers_needed"])


def hold(tx: Transaction, approval_id: str) -> tuple[Incident, Row, Row] | None:
    """The incident and its approval, both locked, incident first as everywhere, and the proposal. None: not there."""
    seen = tx.one("approval", id=approval_id)
    if seen is None:
        return None
    incident = tx.incident(seen["incident_id"], lock=True)
    row = tx.one("lock_approval", id=approval_id)
    proposal = tx.one("proposal", id=seen["proposal_id"])
    if incident is None or row is None or proposal is None:
        raise Unreachable("store", "an approval without its incident or proposal", permanent=True)
    return incident, row, proposal


def _declined(policy: Policy, row: Row, proposal: Row, state: IncidentState, ask: Ask) -> Declined | None:
    if not policy.may_approve(ask.person, proposal["target"]):
        who = "nobody is on the approver list" if not policy.approvers else f"{ask.person} is not on the approver list"
        return Declined("forbidden", f"{who} for {proposal['target']}", {})
    if ask.decision == "approve":
        declined = _own_edit(policy, proposal, ask.person) or _wrong_channel(policy, proposal, ask.channel)
        if declined is not None:
            return declined
    return not_waiting(row, state, ask.revision, ask.digest)


def _own_edit(policy: Policy, proposal: Row, person: str) -> Declined | None:
    """Refusing stays open to everybody on the list, from everywhere; only saying yes is bound."""
    environment = proposal["facts"].get("environment", "")
    if policy.may_approve(person, proposal["target"], proposer=proposal["proposed_by"], environment=environment):
        return None
    return Declined("forbidden", f"{person} edited this fix; somebody else has to approve it", {})


def _wrong_channel(policy: Policy, proposal: Row, channel: str) -> Declined | None:
    risk = proposal["verdict"]["risk"]
    allowed = policy.channels(risk)
    if channel in allowed:
        return None
    where = ", ".join(sorted(allowed)) or "nowhere: the policy names no channel"
    return Declined("forbidden", f"{risk} risk is not approved by {channel}; approve it by {where}", {})


def not_waiting(row: Row, state: IncidentState, revision: int, shown_digest: str) -> Declined | None:
    """Why what the person saw is not what waits for a decision now; None when it is."""
    if row["state"] not in WAITING:
        return Declined("conflict", f"already {row['state']}", _current(row))
    if row["revision"] != revision or not hmac.compare_digest(row["digest"], shown_digest):
        return Declined("conflict", "this is not the revision that waits for a decision", _current(row))
    if row["now"] >= row["decide_by"]:
        return Declined("conflict", "the time to decide is over", _current(row))
    if state is not IncidentState.AWAITING_APPROVAL:
        return Declined("conflict", f"the incident is {state}", _current(row))
    return None


def _current(row: Row) -> dict[str, Any]:
    return {
        "state": row["state"],
        "revision": row["revision"],
        "digest": row["digest"],
        "decide_by": row["decide_by"].isoformat(),
    }


def _settle(tx: Transaction, row: Row, ask: Ask, state: ApprovalState) -> Row | None:
    """The conditional update first: a decision that came too late leaves no row that would count as one."""
    settled = tx.one(
        "settle_approval", id=row["id"], version=row["version"], revision=ask.revision, digest=ask.digest, state=state
    )
    if settled is not None:
        tx.run(
            "add_decision", approval=row["id"], person=ask.person, decision=ask.decision, channel=ask.channel,
            reason=ask.reason or None,
        )  # fmt: skip
    return settled


def _permit(tx: Transaction, key: SigningKey, row: Row, ask: Ask, settled: Row) -> None:
    permit = sign(
        key, approval_id=str(row["id"]), digest=row["digest"], person=ask.person, decided_at=settled["decided_at"]
    )
    tx.run(
        "add_permit", approval=row["id"], person=permit.person, key_id=permit.key_id, digest=permit.digest,
        decided_at=permit.decided_at, signature=permit.signature,
    )  # fmt: skip


def _event(tx: Transaction, row: Row, ask: Ask, state: ApprovalState, people: tuple[str, ...]) -> Event | None:
    match state:
        case ApprovalState.DENIED:
            return ApprovalDenied(ask.person, ask.reason)
        case ApprovalState.APPROVED:
            execution = tx.one("add_execution", approval=row["id"], incident=row["incident_id"], phase="run")
            if execution is None:
                raise IllegalTransition("this approval already has an execution")
            return ApprovalGranted(people, str(execution["id"]))
        case _:
            return None


# --- Steps of the queue `api` ------------------------------------------------------------------------------------


def open_approval(held: Held) -> Save:
    """Opens the approval of a drafted proposal, after checking that the proposal is the one its digest names."""

    def save(tx: Transaction) -> Event:
        proposal = tx.one("proposal", id=held.step.args["proposal"])
        if proposal is None or not _is_what_it_shows(proposal):
            raise Unreachable("store", "the proposal is not the one its digest names", permanent=True)
        opened = tx.one("add_approval", proposal=proposal["id"])
        if opened is None:
            raise Unreachable("store", "the approval was not stored")
        return ApprovalOpened(str(opened["id"]))

    return save


def _is_what_it_shows(proposal: Row) -> bool:
    """What a person is shown is what the digest covers: a captured worker cannot show one command and bind another."""
    document = proposal["document"]
    shown = {
        name: proposal[name]
        for name in ("revision", "action", "params", "command", "cleanup", "rollback", "approvers_needed")
    }
    shown |= {
        "proposal": str(proposal["id"]),
        "incident": f"INC-{proposal['incident_id']}",
        "decide_by": timestamp(proposal["decide_by"]),
        "start_by": timestamp(proposal["start_by"]),
    }
    agrees = all(document.get(name) == value for name, value in shown.items())
    return agrees and digest(document) == proposal["digest"]


def void_approvals(held: Held) -> Save:
    """The alert is over: what waited for a decision is cancelled."""

    def save(tx: Transaction) -> Event | None:
        for row in tx.all("open_approvals", incident=held.step.incident_id):
            tx.one("end_approval", id=row["id"], state=ApprovalState.CANCELLED)
            tx.audit(held.step.incident_id, "api", "ApprovalCancelled", {"note": "the alert is over"})
        return None

    return save


def authorise_rollback(held: Held) -> Save:
    """The approval covered a rollback on regression; it gets its execution row."""

    def save(tx: Transaction) -> Event:
        runs = [row for row in tx.all("executions", incident=held.step.incident_id) if row["phase"] == "run"]
        if not runs:
            raise Unreachable("store", "there is no execution to roll back", permanent=True)
        added = tx.one(
            "add_execution", approval=runs[-1]["approval_id"], incident=held.step.incident_id, phase="rollback"
        )
        if added is None:
            raise Unreachable("store", "a rollback of this approval was authorised before", permanent=True)
        return RollbackAuthorised(str(added["id"]))

    return save


def escalate(runner: Runner, policy: Policy) -> int:
    """Says once, when nobody has decided for a while, who should. Returns how many. Raises Unreachable."""
    with runner.store.transaction() as tx:
        undecided = tx.all("undecided_approvals", after_s=policy.escalate_after_s)
    told = 0
    for row in undecided:
        with runner.store.transaction() as tx:
            tx.incident(row["incident_id"], lock=True)
            escalated = tx.one("escalate_approval", id=row["id"])
            proposal = tx.one("proposal", id=escalated["proposal_id"]) if escalated else None
            if escalated is None or proposal is None:
                continue
            told += 1
            people = policy.told_when_nobody_decides(proposal["target"])
            note = (
                f"nobody has decided for {policy.escalate_after_s:.0f} s; asked again: {', '.join(people) or 'nobody'}"
            )
            until = escalated["decide_by"].isoformat()
            tx.audit(row["incident_id"], "api", "Escalated", {"note": note, "people": list(people), "until": until})
    return told


def expire(runner: Runner) -> int:
    """Ends what nobody decided in time: expired means denied. Returns how many. Raises Unreachable."""
    with runner.store.transaction() as tx:
        overdue = tx.all("overdue_approvals")
    ended = 0
    for row in overdue:
        with runner.store.transaction() as tx:
            incident = tx.incident(row["incident_id"], lock=True)
            if incident is None or tx.one("end_approval", id=row["id"], state=ApprovalState.EXPIRED) is None:
                continue
            ended += 1
            if incident.state is IncidentState.AWAITING_APPROVAL:
                runner.apply(tx, incident, ApprovalExpired(), actor="api")
    return ended
