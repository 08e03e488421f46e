"""Everything that decides what state an incident, an approval or an execution is in lives here.

TRANSITIONS is the same table as stanch.allowed_transition in the store, where a trigger holds it; a test keeps
them equal and draws docs/states.md from this one. decide is pure: a replay drives the same function.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, assert_never

from agent.brain import beliefs as belief
from agent.brain import loops
from agent.brain.choose import Ask, Conclude, GiveUp, Wait, next_move
from agent.events import (
    AlertsResolved,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOpened,
    CheckAnswered,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    HumanAsked,
    HumanClosed,
    PostmortemWritten,
    ProposalDrafted,
    ProposalRefused,
    RevisionAsked,
    RollbackAuthorised,
    SiblingsSwept,
    StepFailed,
    Triaged,
    VerificationSampled,
)
from agent.incident import (
    Answered,
    ApprovalState,
    Call,
    ExecutionState,
    Incident,
    IncidentState,
    Milestone,
    Mode,
    Outcome,
    Working,
)
from agent.memory.working import followed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.runbook.skill import Skill

Machine = Literal["incident", "approval", "execution"]
Writer = Literal["stanch_api", "stanch_agent", "stanch_executor"]
Queue = Literal["agent", "causal", "execute", "api"]

_I, _A, _E = IncidentState, ApprovalState, ExecutionState

TRANSITIONS: Mapping[Machine, frozenset[tuple[str, str, Writer]]] = {
    "incident": frozenset(
        {
            (_I.RECEIVED, _I.INVESTIGATING, "stanch_agent"),
            (_I.RECEIVED, _I.NEEDS_HUMAN, "stanch_agent"),
            (_I.RECEIVED, _I.SELF_RESOLVED, "stanch_agent"),
            (_I.INVESTIGATING, _I.AWAITING_APPROVAL, "stanch_api"),
            (_I.INVESTIGATING, _I.NEEDS_HUMAN, "stanch_agent"),
            (_I.INVESTIGATING, _I.NEEDS_HUMAN, "stanch_api"),
            (_I.INVESTIGATING, _I.SELF_RESOLVED, "stanch_agent"),
            (_I.AWAITING_APPROVAL, _I.EXECUTING, "stanch_api"),
            (_I.AWAITING_APPROVAL, _I.INVESTIGATING, "stanch_api"),
            (_I.AWAITING_APPROVAL, _I.NEEDS_HUMAN, "stanch_api"),
            (_I.AWAITING_APPROVAL, _I.SELF_RESOLVED, "stanch_agent"),
            (_I.EXECUTING, _I.VERIFYING, "stanch_executor"),
            (_I.EXECUTING, _I.NEEDS_HUMAN, "stanch_executor"),
            (_I.VERIFYING, _I.EXECUTING, "stanch_api"),
            (_I.VERIFYING, _I.NEEDS_HUMAN, "stanch_agent"),
            (_I.VERIFYING, _I.NEEDS_HUMAN, "stanch_api"),
            (_I.VERIFYING, _I.RESOLVED, "stanch_agent"),
            (_I.NEEDS_HUMAN, _I.INVESTIGATING, "stanch_api"),
            (_I.NEEDS_HUMAN, _I.SELF_RESOLVED, "stanch_agent"),
            (_I.NEEDS_HUMAN, _I.CLOSED, "stanch_api"),
            (_I.RESOLVED, _I.CLOSED, "stanch_agent"),
            (_I.SELF_RESOLVED, _I.CLOSED, "stanch_agent"),
        }
    ),
    "approval": frozenset(
        {
            (_A.PENDING, _A.PARTIALLY_APPROVED, "stanch_api"),
            *(
                (waiting, decided, "stanch_api")
                for waiting in (_A.PENDING, _A.PARTIALLY_APPROVED)
                for decided in (_A.APPROVED, _A.DENIED, _A.EXPIRED, _A.SUPERSEDED, _A.CANCELLED)
            ),
        }
    ),
    "execution": frozenset(
        (before, after, "stanch_executor")
        for before, after in (
            (_E.AUTHORISED, _E.STARTED),
            (_E.AUTHORISED, _E.ABORTED),
            (_E.STARTED, _E.FINISHED),
            (_E.STARTED, _E.FAILED),
            (_E.STARTED, _E.UNKNOWN),
            (_E.STARTED, _E.ABORTING),
            (_E.STARTED, _E.ROLLING_BACK),
            (_E.UNKNOWN, _E.FINISHED),
            (_E.UNKNOWN, _E.FAILED),
            (_E.UNKNOWN, _E.ROLLED_BACK),
            (_E.ABORTING, _E.ABORTED),
            (_E.ABORTING, _E.FINISHED),
            (_E.ABORTING, _E.UNKNOWN),
            (_E.ROLLING_BACK, _E.ROLLED_BACK),
            (_E.ROLLING_BACK, _E.FAILED),
            (_E.ROLLING_BACK, _E.UNKNOWN),
        )
    ),
}


class IllegalTransition(RuntimeError):
    """An event that this state cannot take: a message that came late or twice. The caller drops it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done, by the process that serves the queue. after_s: not before this many seconds from now."""

    kind: str
    queue: Queue
    args: Mapping[str, Any] = field(default_factory=dict)
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The incident as it is now, what to do next, and one line for its history (empty: not worth one)."""

    incident: Incident
    steps: tuple[Step, ...]
    note: str


VERIFY_EVERY_S = 2.0
"""Pause between two looks at the alert's expression."""


def decide(incident: Incident, skill: Skill | None, event: Event, now: datetime) -> Decision:
    """What an event makes of an incident. skill: the one triage picked, None before triage.

    Raises IllegalTransition when the state cannot take the event.
    """
    return _remembered(incident, skill, event, _came_of(incident, skill, event, now), now)


def _came_of(incident: Incident, skill: Skill | None, event: Event, now: datetime) -> Decision:
    match event:
        case Triaged():
            return _triaged(incident, skill, event)
        case CheckAnswered() | StepFailed():
            return _answered(incident, skill, event, now)
        case ProposalDrafted() | ProposalRefused() | ApprovalOpened():
            return _proposed(incident, event, now)
        case ApprovalGranted() | ApprovalDenied() | ApprovalExpired() | RevisionAsked():
            return _decided(incident, skill, event, now)
        case ExecutionStarted() | ExecutionEnded() | RollbackAuthorised():
            return _executed(incident, event)
        case VerificationSampled():
            return _verified(incident, event, now)
        case AlertsResolved():
            return _alerts_resolved(incident, now)
        case SiblingsSwept() | PostmortemWritten():
            return _told(incident, event, now)
        case HumanAsked() | HumanClosed():
            return _human(incident, skill, event, now)
        case _:
            assert_never(event)


def _expect(incident: Incident, event: Event, *states: IncidentState) -> None:
    if incident.state not in states:
        raise IllegalTransition(f"{incident.key} is {incident.state}: it cannot take {type(event).__name__}")


def _to(incident: Incident, state: IncidentState, **changes: Any) -> Incident:
    return replace(incident, state=state, **changes)


def _needs_human(incident: Incident, why: str, outcome: Outcome | None, *steps: Step) -> Decision:
    working = replace(incident.working, why=why)
    return Decision(_to(incident, _I.NEEDS_HUMAN, outcome=outcome, working=working), steps, why)


# --- What is remembered of each step, and going round in circles ------------------------------------------------


def _remembered(incident: Incident, skill: Skill | None, event: Event, decision: Decision, now: datetime) -> Decision:
    """The decision with what it puts under way noted, and stopped where it goes round in circles."""
    after = decision.incident
    working = followed(after.working, event, after.state)
    if working is not after.working:
        after = replace(after, working=working)
        decision = replace(decision, incident=after)
    tried = _tried(incident, skill, event, now)
    if tried is None or (after.state is not _I.NEEDS_HUMAN and tried.tool != "edit"):
        return decision  # what is being rolled back is counted at the end of that
    working = loops.made(after.working, tried)
    match loops.judged(working.calls):
        case None:
            return replace(decision, incident=replace(after, working=working))
        case loops.Replan(barred, _):
            working = replace(working, barred_calls=tuple(sorted({*working.barred_calls, barred})))
            return replace(decision, incident=replace(after, working=working))
        case loops.End(why):
            told = f"{working.why}; {why}" if working.why and after.state is _I.NEEDS_HUMAN else why
            outcome = after.outcome if after.state is _I.NEEDS_HUMAN else Outcome.INCONCLUSIVE
            return _needs_human(replace(after, working=working), told, outcome, _postmortem())


def _tried(incident: Incident, skill: Skill | None, event: Event, now: datetime) -> Call | None:
    """The attempt that an event is the end of, None when it is none: a fix that came to nothing, an edit."""
    match event:
        case ProposalRefused(reasons):
            came_to = loops.result_hash("refused", reasons)
        case StepFailed("propose" | "open_approval" as kind, error):
            came_to = loops.result_of(Answered(kind, error, None))
        case ApprovalDenied() | ApprovalExpired():
            came_to = type(event).__name__
        case ExecutionEnded("run", "failed" | "aborted" as status):
            came_to = status
        case ExecutionEnded("rollback") | StepFailed("authorise_rollback"):
            came_to = str(Outcome.REGRESSED)
        case VerificationSampled("not_recovered" | "regressed" as verdict):
            came_to = verdict
        case RevisionAsked(_, params, _):
            args = loops.canonical(params)
            return Call("edit", args, str(incident.working.revision), incident.working.look, now.timestamp())
        case _:
            return None
    conclusion = incident.working.conclusion
    remedy = None if skill is None or conclusion is None else skill.remedy(conclusion.cause)
    if remedy is None:
        return None
    return Call("propose", remedy.id, came_to, incident.working.look, now.timestamp())


# --- Triage and investigation ------------------------------------------------------------------------------------


def _triaged(incident: Incident, skill: Skill | None, event: Triaged) -> Decision:
    _expect(incident, event, _I.RECEIVED)
    if skill is None:
        return _needs_human(
            incident, "no skill could be read: nobody investigated this", Outcome.INCONCLUSIVE, _postmortem()
        )
    opened = _to(
        incident,
        _I.INVESTIGATING,
        skill=skill.name,
        target=event.target,
        mode=event.mode,
        service=event.service or incident.service,
        working=replace(incident.working, beliefs=skill.priors(), pins=dict(skill.pins)),
        milestones=_with_impact(incident, event.impact_start),
    )
    where = f" on {event.target} ({event.mode})" if event.target else ", no target known"
    moved = _move(opened, opened.working, skill)
    return replace(moved, note=f"skill {skill.name} chosen{where}")


def _with_impact(incident: Incident, at: datetime | None) -> Mapping[Milestone, datetime]:
    """The earlier of what the source said and what its rule says."""
    known = incident.milestones.get(Milestone.IMPACT_START)
    earlier = min((one for one in (known, at) if one is not None), default=None)
    return incident.milestones if earlier is None else {**incident.milestones, Milestone.IMPACT_START: earlier}


def _answered(incident: Incident, skill: Skill | None, event: CheckAnswered | StepFailed, now: datetime) -> Decision:
    if isinstance(event, StepFailed) and event.check is None:
        return _step_failed(incident, event)
    _expect(incident, event, _I.INVESTIGATING)
    name, working = event.check or "", incident.working
    if name not in working.pending:
        raise IllegalTransition(f"{incident.key} does not wait for {name}: answered before, or asked by nobody")
    if skill is None:
        why = f"skill {incident.skill} can no longer be read"
        return _needs_human(incident, why, Outcome.INCONCLUSIVE, _postmortem())
    if isinstance(event, StepFailed):
        answer = Answered("not_visible", f"could not be checked: {event.error}", None)
    else:
        answer = event.answer
    answered = {**working.answered, name: answer}
    beliefs = belief.posterior(skill, answered)
    call = loops.call_of(skill, name, answer, beliefs, working.look, now.timestamp())
    working = replace(
        working,
        answered=answered,
        pending=tuple(check for check in working.pending if check != name),
        beliefs=beliefs,
        calls=loops.with_call(working.calls, call),
    )
    match loops.judged(working.calls):
        case loops.End(why):
            circled = replace(incident, working=replace(working, pending=()))
            return _needs_human(circled, why, Outcome.INCONCLUSIVE, _postmortem())
        case loops.Replan(barred, _):
            working = replace(working, barred_calls=tuple(sorted({*working.barred_calls, barred})))
        case None:
            pass
    moved = _move(incident, working, skill)
    if moved.incident.working.conclusion and not incident.working.conclusion:
        moved = replace(moved, incident=moved.incident.reached(Milestone.DIAGNOSED, now))
    check = skill.checks.get(name)  # None when the skill was edited meanwhile
    if check is not None and check.tool == "causal" and answer.status != "not_visible":
        # How much the cause explains, with an interval, goes to the approver; nothing waits for it.
        moved = replace(moved, steps=(*moved.steps, Step("attribute", "causal")))
    said = f"{name}: {answer.summary}"
    return Decision(moved.incident, moved.steps, f"{said} → {moved.note}" if moved.note else said)


_WAITED_FOR: Mapping[IncidentState, frozenset[str]] = {
    _I.RECEIVED: frozenset({"triage"}),
    _I.INVESTIGATING: frozenset({"propose", "open_approval"}),
    _I.EXECUTING: frozenset({"execute"}),
    _I.VERIFYING: frozenset({"verify", "authorise_rollback"}),
    _I.RESOLVED: frozenset({"sibling_sweep"}),
}
"""Steps without which an incident in this state stands still. Any other that fails is late, or not worth a stop."""


def _step_failed(incident: Incident, event: StepFailed) -> Decision:
    if event.kind in {"attribute", "postmortem", "remember"}:
        return Decision(incident, (), f"{event.kind} gave up: {event.error}")
    if event.kind not in _WAITED_FOR.get(incident.state, frozenset()):
        raise IllegalTransition(f"{incident.key} is {incident.state}: a failed {event.kind} changes nothing")
    match event.kind:
        case "sibling_sweep":  # what else is broken is worth a look, not a delay
            return Decision(incident, (_postmortem(),), f"sibling_sweep gave up: {event.error}")
        case "execute":
            why = f"nobody can say what became of the fix, look at the target: {event.error}"
            return _needs_human(incident, why, Outcome.INCONCLUSIVE, _postmortem())
        case "authorise_rollback":
            why = f"regressed, and the rollback could not be started: {event.error}"
            return _needs_human(_bar(incident), why, Outcome.REGRESSED, _postmortem())
        case _:
            return _needs_human(incident, f"{event.kind} gave up: {event.error}", Outcome.INCONCLUSIVE, _postmortem())


def _move(incident: Incident, working: Working, skill: Skill) -> Decision:
    """The next move of the investigation. working: takes the place of the incident's own."""
    move = next_move(skill, working)
    match move:
        case Wait():
            return Decision(replace(incident, working=working), (), "")
        case Ask(checks):
            asked = replace(working, pending=(*working.pending, *checks))
            steps = tuple(_check_step(skill, name) for name in checks)
            return Decision(replace(incident, working=asked), steps, "")
        case GiveUp(why):
            return _needs_human(replace(incident, working=working), why, Outcome.INCONCLUSIVE, _postmortem())
        case Conclude(conclusion):
            working = replace(working, conclusion=conclusion)
            return _act_on(replace(incident, working=working), skill)
        case _:
            assert_never(move)


def _check_step(skill: Skill, name: str) -> Step:
    queue: Queue = "causal" if skill.checks[name].tool == "causal" else "agent"
    return Step("check", queue, {"check": name})


def _act_on(incident: Incident, skill: Skill) -> Decision:
    conclusion = incident.working.conclusion
    if conclusion is None:
        raise IllegalTransition(f"{incident.key} has no conclusion to act on")
    found = f"{conclusion.title}, {conclusion.probability:.2f} sure"
    remedy = skill.remedy(conclusion.cause)
    if remedy is None:
        return _needs_human(incident, f"{found}; no safe action is known for it", None, _postmortem())
    if incident.target is None:
        return _needs_human(incident, f"{found}; no configured target to act on", None, _postmortem())
    if incident.mode is Mode.OBSERVE:
        why = f"{found}; {incident.target} is in observe mode, so nothing is proposed"
        return _needs_human(incident, why, Outcome.NO_ACTION, _postmortem())
    if f"propose:{remedy.id}" in incident.working.barred_calls:
        why = f"{found}; its fix came to the same end {loops.SAME_BARS} times, so it is not proposed again for now"
        return _needs_human(incident, why, Outcome.INCONCLUSIVE, _postmortem())
    return Decision(incident, (Step("propose", "agent", {"remediation": remedy.id}),), found)


# --- Proposal and decision ---------------------------------------------------------------------------------------


def _proposed(incident: Incident, event: ProposalDrafted | ProposalRefused | ApprovalOpened, now: datetime) -> Decision:
    _expect(incident, event, _I.INVESTIGATING)
    match event:
        case ProposalRefused(reasons):
            working = replace(incident.working, refused=reasons)
            why = "the guardrail refused the fix: " + "; ".join(reasons)
            return _needs_human(replace(incident, working=working), why, None, _postmortem())
        case ProposalDrafted(proposal_id, revision, command):
            drafted = replace(incident, working=replace(incident.working, revision=revision))
            if incident.mode is not Mode.ACT:
                why = f"proposed and left to you ({incident.target} is in propose mode): {command}"
                shown = drafted.reached(Milestone.PROPOSED, now)
                return _needs_human(shown, why, Outcome.NO_ACTION, _postmortem())
            return Decision(drafted, (Step("open_approval", "api", {"proposal": proposal_id}),), "")
        case ApprovalOpened():
            opened = _to(incident, _I.AWAITING_APPROVAL).reached(Milestone.PROPOSED, now)
            return Decision(opened, (), "fix proposed, waiting for a decision")
        case _:
            assert_never(event)


def _decided(
    incident: Incident,
    skill: Skill | None,
    event: ApprovalGranted | ApprovalDenied | ApprovalExpired | RevisionAsked,
    now: datetime,
) -> Decision:
    _expect(incident, event, _I.AWAITING_APPROVAL)
    if isinstance(event, RevisionAsked):
        return _revised(incident, skill, event)
    decided = incident.reached(Milestone.DECIDED, now)
    match event:
        case ApprovalGranted(persons, execution_id):
            step = Step("execute", "execute", {"execution": execution_id})
            return Decision(_to(decided, _I.EXECUTING), (step,), f"approved by {', '.join(persons)}")
        case ApprovalDenied(person, reason):
            why = f"denied by {person}: {reason}" if reason else f"denied by {person}"
            return _needs_human(decided, why, Outcome.NO_ACTION, _postmortem())
        case ApprovalExpired():
            return _needs_human(decided, "nobody decided in time, so nothing ran", Outcome.NO_ACTION, _postmortem())
        case _:
            assert_never(event)


def _revised(incident: Incident, skill: Skill | None, event: RevisionAsked) -> Decision:
    """The edited fix goes the whole way again: judged in the worker, and decided on by somebody."""
    conclusion = incident.working.conclusion
    remedy = None if skill is None or conclusion is None else skill.remedy(conclusion.cause)
    if remedy is None:
        raise IllegalTransition(f"{incident.key}: its skill names no fix any more, so there is nothing to edit")
    step = Step("propose", "agent", {"remediation": remedy.id, "params": dict(event.params), "by": event.person})
    why = f": {event.reason}" if event.reason else ""
    return Decision(_to(incident, _I.INVESTIGATING), (step,), f"{event.person} edits the fix{why}")


def approval_after(
    state: ApprovalState, decision: Literal["approve", "deny"], approved_by: int, approvers_needed: int
) -> ApprovalState:
    """State of an approval after one more decision. approved_by counts distinct approvers, this one included."""
    if state not in {_A.PENDING, _A.PARTIALLY_APPROVED}:
        raise IllegalTransition(f"already {state}")
    if decision == "deny":
        return _A.DENIED
    return _A.APPROVED if approved_by >= approvers_needed else _A.PARTIALLY_APPROVED


# --- Execution and verification ----------------------------------------------------------------------------------


def _executed(incident: Incident, event: ExecutionStarted | ExecutionEnded | RollbackAuthorised) -> Decision:
    match event:
        case ExecutionStarted(phase, at):
            _expect(incident, event, _I.EXECUTING)
            started = incident.reached(Milestone.EXEC_START, at)
            return Decision(started, (), "running the fix" if phase == "run" else "rolling the fix back")
        case RollbackAuthorised(execution_id):
            _expect(incident, event, _I.VERIFYING)
            step = Step("execute", "execute", {"execution": execution_id})
            return Decision(_to(incident, _I.EXECUTING), (step,), "made it worse: rolling back, as approved")
        case ExecutionEnded():
            _expect(incident, event, _I.EXECUTING)
            return _ended(incident, event)
        case _:
            assert_never(event)


def _ended(incident: Incident, event: ExecutionEnded) -> Decision:
    if event.phase == "rollback":
        how = "rolled back" if event.status in {"finished", "rolled_back"} else f"rollback {event.status}"
        return _needs_human(_bar(incident), f"{how}: {event.detail}", Outcome.REGRESSED, _postmortem())
    if event.status == "finished":
        ended = incident.reached(Milestone.EXEC_END, event.at)
        return Decision(_to(ended, _I.VERIFYING), (Step("verify", "agent"),), event.detail)
    outcome = Outcome.INCONCLUSIVE if event.status == "unknown" else Outcome.NO_ACTION
    return _needs_human(incident, f"execution {event.status}: {event.detail}", outcome, _postmortem())


def _verified(incident: Incident, event: VerificationSampled, now: datetime) -> Decision:
    _expect(incident, event, _I.VERIFYING)
    if event.restored_at is not None and event.verdict == "recovered":
        incident = incident.reached(Milestone.RESTORED, event.restored_at)
    match event.verdict:
        case "pending":
            return Decision(incident, (Step("verify", "agent", after_s=VERIFY_EVERY_S),), "")
        case "recovered":
            done = incident.reached(Milestone.VERIFIED, now).reached(Milestone.RESOLVED, now)
            resolved = _to(done, _I.RESOLVED, outcome=Outcome.RECOVERED)
            return Decision(resolved, (Step("sibling_sweep", "agent"),), f"recovered: {event.summary}")
        case "regressed" if event.rollback_approved:
            return Decision(incident, (Step("authorise_rollback", "api"),), f"regressed: {event.summary}")
        case "regressed" | "not_recovered" | "inconclusive":
            why = f"{event.verdict.replace('_', ' ')}: {event.summary}"
            barred = _bar(incident) if event.verdict != "inconclusive" else incident
            return _needs_human(barred, why, Outcome(event.verdict), _postmortem())
        case _:
            assert_never(event.verdict)


def _bar(incident: Incident) -> Incident:
    """The same ineffective fix is not proposed twice for one cause without a human asking."""
    conclusion, barred = incident.working.conclusion, incident.working.barred
    if conclusion is None or conclusion.cause in barred:
        return incident
    return replace(incident, working=replace(incident.working, barred=(*barred, conclusion.cause)))


# --- Ends --------------------------------------------------------------------------------------------------------


def _postmortem() -> Step:
    return Step("postmortem", "agent")


def _alerts_resolved(incident: Incident, now: datetime) -> Decision:
    note = "the source says that the alert is over"
    match incident.state:
        case _I.RECEIVED | _I.INVESTIGATING | _I.AWAITING_APPROVAL | _I.NEEDS_HUMAN:
            kept = {Outcome.REGRESSED, Outcome.NOT_RECOVERED}
            outcome = incident.outcome if incident.outcome in kept else Outcome.SELF_RESOLVED
            over = _to(incident, _I.SELF_RESOLVED, outcome=outcome).reached(Milestone.RESOLVED, now)
            void = (Step("void_approvals", "api"),) if incident.state is _I.AWAITING_APPROVAL else ()
            return Decision(over, (*void, _postmortem()), note)
        case _:
            return Decision(incident, (), note)


def _told(incident: Incident, event: SiblingsSwept | PostmortemWritten, now: datetime) -> Decision:
    """After the sweep the postmortem. Only what is over teaches: a case is made, and lessons are drawn, once closed."""
    if isinstance(event, SiblingsSwept):
        _expect(incident, event, _I.RESOLVED)
        return Decision(incident, (_postmortem(),), event.summary)
    note = f"postmortem written: {event.path}"
    remember = (Step("remember", "agent"),)
    if incident.state in {_I.RESOLVED, _I.SELF_RESOLVED}:
        return Decision(_to(incident, _I.CLOSED).reached(Milestone.RESOLVED, now), remember, note)
    return Decision(incident, remember if incident.state is _I.CLOSED else (), note)


def _human(incident: Incident, skill: Skill | None, event: HumanAsked | HumanClosed, now: datetime) -> Decision:
    _expect(incident, event, _I.NEEDS_HUMAN)
    if isinstance(event, HumanClosed):
        outcome = incident.outcome or Outcome.NO_ACTION
        closed = _to(incident, _I.CLOSED, outcome=outcome).reached(Milestone.RESOLVED, now)
        return Decision(closed, (_postmortem(),), f"closed by {event.person}: {event.reason}")
    if skill is None:
        raise IllegalTransition(f"{incident.key}: its skill cannot be read, so there is nothing to investigate with")
    return _another_look(incident, skill, event, now)


def _another_look(incident: Incident, skill: Skill, event: HumanAsked, now: datetime) -> Decision:
    """From the start, but for what said the same again and again: that is not asked once more, its answer stands."""
    before = incident.working
    barred = loops.still_barred(before.calls, now.timestamp())
    stands = {
        name: answer
        for name, answer in before.answered.items()
        if name in skill.checks and loops.question(skill.checks[name]) in barred
    }
    fresh = Working(
        beliefs=belief.posterior(skill, stands) if stands else skill.priors(),
        answered=stands,
        revision=before.revision,
        look=before.look + 1,
        calls=before.calls,
        barred_calls=barred,
        approvals=before.approvals,
        pins=dict(skill.pins),
    )
    for name in stands:  # held back, but wanted: it counts
        fresh = loops.checked(skill, fresh, name, now.timestamp())
        verdict = loops.judged(fresh.calls)
        if isinstance(verdict, loops.End):
            kept = replace(before, calls=fresh.calls, barred_calls=barred, look=fresh.look)
            why = f"{verdict.why}; nothing that could be asked has changed, so there is no further look for now"
            return _needs_human(replace(incident, working=kept), why, incident.outcome)
    again = _to(incident, _I.INVESTIGATING, outcome=None, working=fresh)
    noted = f"{event.person} asked for another look"
    held = f"; not asked again, the same {loops.SAME_BARS} times: {', '.join(sorted(stands))}" if stands else ""
    moved = _move(again, fresh, skill)
    return replace(moved, note=f"{noted}{held} → {moved.note}" if moved.note else noted + held)
