from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.events import (
    AlertsResolved,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOpened,
    CheckAnswered,
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
    OPEN_STATES,
    ApprovalState,
    Incident,
    IncidentState,
    Milestone,
    Mode,
    Outcome,
    Working,
)
from agent.machine import TRANSITIONS, Decision, IllegalTransition, approval_after, decide
from tests.agent.examples import CONCLUSION, CONVINCING, HIDDEN, NO, NOTED, NOW, SKILL, YES, concluded, incident

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.machine import Writer

S = IncidentState

QUEUE_OF: dict[str, Writer] = {
    "triage": "stanch_agent",
    "check": "stanch_agent",
    "attribute": "stanch_agent",
    "propose": "stanch_agent",
    "verify": "stanch_agent",
    "postmortem": "stanch_agent",
    "sibling_sweep": "stanch_agent",
    "remember": "stanch_agent",
    "open_approval": "stanch_api",
    "authorise_rollback": "stanch_api",
    "void_approvals": "stanch_api",
    "execute": "stanch_executor",
}
"""The role of the process that serves the step, which is who reports its failure."""


def writer_of(event: Event) -> Writer:
    match event:
        case StepFailed(kind):
            return QUEUE_OF[kind]
        case ExecutionStarted() | ExecutionEnded():
            return "stanch_executor"
        case (
            ApprovalOpened()
            | ApprovalGranted()
            | ApprovalDenied()
            | ApprovalExpired()
            | RevisionAsked()
            | RollbackAuthorised()
            | HumanAsked()
            | HumanClosed()
        ):
            return "stanch_api"
        case _:
            return "stanch_agent"


text = st.text(max_size=12)
times = st.integers(0, 600).map(lambda s: NOW + timedelta(seconds=s))
check_names = st.sampled_from([*SKILL.checks, "unheard_of"])
answers = st.sampled_from([YES, NO, HIDDEN, NOTED])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Triaged,
        skill=st.just("slow-shop"),
        target=st.sampled_from([None, "shop"]),
        mode=st.sampled_from(Mode),
        service=st.none() | text,
        impact_start=st.none() | times,
    ),
    st.builds(CheckAnswered, check=check_names, answer=answers),
    st.builds(ProposalDrafted, proposal_id=text, revision=st.integers(1, 3), command=text),
    st.builds(ProposalRefused, reasons=st.tuples(text)),
    st.builds(ApprovalOpened, approval_id=text),
    st.builds(ApprovalGranted, persons=st.tuples(text), execution_id=text),
    st.builds(ApprovalDenied, person=text, reason=text),
    st.just(ApprovalExpired()),
    st.builds(RevisionAsked, person=text, params=st.dictionaries(text, text, max_size=2), reason=text),
    st.builds(ExecutionStarted, phase=st.sampled_from(["run", "rollback"]), at=times),
    st.builds(
        ExecutionEnded,
        phase=st.sampled_from(["run", "rollback"]),
        status=st.sampled_from(["finished", "failed", "aborted", "unknown", "rolled_back"]),
        detail=text,
        at=times,
    ),
    st.builds(
        VerificationSampled,
        verdict=st.sampled_from(["pending", "recovered", "not_recovered", "regressed", "inconclusive"]),
        summary=text,
        restored_at=st.none() | times,
        rollback_approved=st.booleans(),
    ),
    st.builds(RollbackAuthorised, execution_id=text),
    st.just(AlertsResolved()),
    st.builds(SiblingsSwept, summary=text),
    st.builds(PostmortemWritten, path=text),
    st.builds(StepFailed, kind=st.sampled_from(sorted(QUEUE_OF)), error=text),
    st.builds(StepFailed, kind=st.just("check"), error=text, check=check_names),
    st.builds(HumanAsked, person=text),
    st.builds(HumanClosed, person=text, reason=text),
)


def lived(happened: Iterable[Event], start: Incident | None = None) -> Incident:
    """An incident after these events; those it cannot take are dropped, as the caller does."""
    now = start or incident()
    for event in happened:
        try:
            now = decide(now, SKILL, event, NOW).incident
        except IllegalTransition:
            continue
    return now


def decided(before: Incident, event: Event) -> Decision | str:
    """The decision, or the reason why there is none."""
    try:
        return decide(before, SKILL, event, NOW)
    except IllegalTransition as refused:
        return str(refused)


histories = st.builds(
    lived, st.lists(events, max_size=12), st.sampled_from([incident(state) for state in S] + [concluded()])
)


# --- Whatever happens --------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(histories, events, st.booleans())
def test_a_change_of_state_is_a_transition_its_writer_may_make(
    before: Incident, event: Event, skill_is_readable: bool
) -> None:
    try:
        after = decide(before, SKILL if skill_is_readable else None, event, NOW).incident
    except IllegalTransition:
        return
    if after.state is not before.state:
        assert (before.state, after.state, writer_of(event)) in TRANSITIONS["incident"]


@settings(max_examples=150, deadline=None)
@given(histories, events)
def test_deciding_twice_gives_the_same_and_changes_nothing_it_was_given(before: Incident, event: Event) -> None:
    kept = copy.deepcopy(before)
    assert decided(before, event) == decided(before, event)
    assert before == kept


@settings(max_examples=150, deadline=None)
@given(histories)
def test_an_incident_never_stands_still_with_nothing_under_way(now: Incident) -> None:
    """What is open either waits for a person, or a step of it is under way."""
    if now.state is S.INVESTIGATING:
        assert now.working.pending or now.working.conclusion
    if now.state is S.NEEDS_HUMAN and now.version:
        assert now.outcome is not Outcome.RECOVERED
    if now.state in {S.RESOLVED, S.SELF_RESOLVED, S.CLOSED}:
        assert now.outcome is not None


@settings(max_examples=100, deadline=None)
@given(histories)
def test_working_state_survives_the_store(now: Incident) -> None:
    assert Working.from_data(now.working.as_data()) == now.working


@settings(max_examples=200, deadline=None)
@given(histories, events)
def test_a_milestone_once_reached_stays(before: Incident, event: Event) -> None:
    try:
        after = decide(before, SKILL, event, NOW + timedelta(hours=1)).incident
    except IllegalTransition:
        return
    for milestone, at in before.milestones.items():
        if milestone is not Milestone.IMPACT_START:
            assert after.milestones[milestone] == at
    if Milestone.IMPACT_START in before.milestones:
        assert after.milestones[Milestone.IMPACT_START] <= before.milestones[Milestone.IMPACT_START]


@pytest.mark.parametrize("state", S)
@settings(max_examples=60, deadline=None)
@given(event=events)
def test_every_state_takes_or_refuses_every_event(state: IncidentState, event: Event) -> None:
    came_of_it = decided(incident(state), event)
    if isinstance(came_of_it, str):
        assert "INC-7" in came_of_it
    else:
        assert came_of_it.incident.id == 7


# --- The whole path ----------------------------------------------------------------------------------------------


def kinds(decision: Decision) -> list[str]:
    return [step.kind for step in decision.steps]


TRIAGED = Triaged("slow-shop", "shop", Mode.ACT, "orders", NOW - timedelta(seconds=30))


def investigated(now: Incident, answered: dict[str, Any] | None = None) -> Decision:
    """Answers every check that is asked for until the investigation ends."""
    said = CONVINCING if answered is None else answered
    decision = decide(now, SKILL, TRIAGED, NOW)
    while decision.incident.state is S.INVESTIGATING and decision.incident.working.pending:
        name = decision.incident.working.pending[0]
        decision = decide(decision.incident, SKILL, CheckAnswered(name, said.get(name, NO)), NOW)
    return decision


def test_an_incident_goes_from_the_alert_to_the_closed_postmortem() -> None:
    later = [NOW + timedelta(seconds=s) for s in range(10)]
    found = investigated(incident())
    assert "propose" in kinds(found)
    assert found.incident.working.conclusion is not None
    assert found.incident.milestones[Milestone.DIAGNOSED] == NOW
    assert found.incident.milestones[Milestone.IMPACT_START] == NOW - timedelta(seconds=30)

    drafted = decide(found.incident, SKILL, ProposalDrafted("p", 1, "CREATE INDEX"), later[1])
    assert [(s.kind, s.queue) for s in drafted.steps] == [("open_approval", "api")]
    opened = decide(drafted.incident, SKILL, ApprovalOpened("a"), later[2])
    assert opened.incident.state is S.AWAITING_APPROVAL
    assert not opened.steps
    granted = decide(opened.incident, SKILL, ApprovalGranted(("ada",), "e"), later[3])
    assert [(s.kind, s.queue, dict(s.args)) for s in granted.steps] == [("execute", "execute", {"execution": "e"})]
    started = decide(granted.incident, SKILL, ExecutionStarted("run", later[4]), later[4])
    ended = decide(started.incident, SKILL, ExecutionEnded("run", "finished", "index is valid", later[5]), later[5])
    assert kinds(ended) == ["verify"]
    waiting = decide(ended.incident, SKILL, VerificationSampled("pending", "", None, True), later[6])
    assert waiting.incident.state is S.VERIFYING
    assert [(s.kind, s.after_s > 0) for s in waiting.steps] == [("verify", True)]
    over = decide(waiting.incident, SKILL, VerificationSampled("recovered", "0.1 s", later[6], True), later[8])
    assert over.incident.state is S.RESOLVED
    assert over.incident.outcome is Outcome.RECOVERED
    assert kinds(over) == ["sibling_sweep"]
    swept = decide(over.incident, SKILL, SiblingsSwept("nothing alike elsewhere"), later[8])
    assert kinds(swept) == ["postmortem"]
    closed = decide(swept.incident, SKILL, PostmortemWritten("INC-7.md"), later[9])
    assert closed.incident.state is S.CLOSED
    assert kinds(closed) == ["remember"]
    reached = closed.incident.milestones
    assert set(reached) == set(Milestone)
    assert reached[Milestone.RESTORED] == later[6]
    assert reached[Milestone.VERIFIED] == later[8]


def test_the_causal_answer_asks_for_an_attribution_on_the_side() -> None:
    decision = decide(incident(S.INVESTIGATING), SKILL, CheckAnswered("ranking", YES), NOW)
    assert [(s.kind, s.queue) for s in decision.steps] == [("attribute", "causal")]
    hidden = decide(incident(S.INVESTIGATING), SKILL, CheckAnswered("ranking", HIDDEN), NOW)
    assert not hidden.steps


def test_without_a_readable_skill_a_human_is_asked_and_the_postmortem_written() -> None:
    decision = decide(incident(), None, TRIAGED, NOW)
    assert (decision.incident.state, kinds(decision)) == (S.NEEDS_HUMAN, ["postmortem"])
    decision = decide(incident(S.INVESTIGATING), None, CheckAnswered("sample", NOTED), NOW)
    assert (decision.incident.state, kinds(decision)) == (S.NEEDS_HUMAN, ["postmortem"])


def test_an_alert_that_says_when_it_began_is_believed_over_a_later_figure() -> None:
    late = replace(TRIAGED, impact_start=NOW + timedelta(seconds=9))
    assert decide(incident(), SKILL, late, NOW).incident.milestones[Milestone.IMPACT_START] == NOW
    unknown = replace(TRIAGED, impact_start=None)
    assert decide(incident(milestones={}), SKILL, unknown, NOW).incident.milestones == {}


# --- Where nothing is proposed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("triaged", "outcome", "says"),
    [
        (replace(TRIAGED, mode=Mode.OBSERVE), Outcome.NO_ACTION, "observe mode"),
        (replace(TRIAGED, target=None), None, "no configured target"),
    ],
)
def test_a_cause_is_reported_where_nothing_may_be_done(triaged: Triaged, outcome: Outcome | None, says: str) -> None:
    decision = decide(incident(), SKILL, triaged, NOW)
    while decision.incident.working.pending:
        name = decision.incident.working.pending[0]
        decision = decide(decision.incident, SKILL, CheckAnswered(name, CONVINCING[name]), NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is outcome
    assert decision.incident.working.conclusion is not None
    assert says in decision.note
    assert kinds(decision) == ["postmortem"]


def test_a_cause_without_a_remedy_goes_to_a_human() -> None:
    surge = {"ranking": NO, "scans": NO, "surge": YES, "index_would_help": NO, "sample": NOTED}
    decision = investigated(incident(), surge)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert "no safe action" in decision.note


def test_nothing_that_stands_out_is_said_so() -> None:
    decision = investigated(incident(), dict.fromkeys(SKILL.checks, HIDDEN))
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is Outcome.INCONCLUSIVE
    assert "not visible" in decision.note


def test_in_propose_mode_the_command_is_shown_and_left_to_a_human() -> None:
    decision = decide(concluded(mode=Mode.PROPOSE), SKILL, ProposalDrafted("p", 1, "CREATE INDEX x"), NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is Outcome.NO_ACTION
    assert "CREATE INDEX x" in decision.incident.working.why
    assert Milestone.PROPOSED in decision.incident.milestones
    assert kinds(decision) == ["postmortem"]


def test_a_refusal_of_the_guardrail_is_kept_with_its_reasons() -> None:
    decision = decide(concluded(), SKILL, ProposalRefused(("too big", "too busy")), NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.working.refused == ("too big", "too busy")
    assert "too big; too busy" in decision.note


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (ApprovalDenied("ada", "not now"), "denied by ada: not now"),
        (ApprovalDenied("ada", ""), "denied by ada"),
        (ApprovalExpired(), "nobody decided in time, so nothing ran"),
    ],
)
def test_without_an_approval_nothing_runs(event: Event, says: str) -> None:
    decision = decide(incident(S.AWAITING_APPROVAL), SKILL, event, NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is Outcome.NO_ACTION
    assert decision.note == says
    assert kinds(decision) == ["postmortem"]
    assert decision.incident.milestones[Milestone.DECIDED] == NOW


def test_an_edit_has_the_fix_drafted_again_with_its_parameters() -> None:
    waiting = replace(concluded(), state=S.AWAITING_APPROVAL)
    decision = decide(waiting, SKILL, RevisionAsked("ada", {"columns": ["a", "b"]}, "covers the sort"), NOW)
    assert decision.incident.state is S.INVESTIGATING
    assert decision.note == "ada edits the fix: covers the sort"
    (step,) = decision.steps
    assert (step.kind, step.queue, step.args["params"], step.args["by"]) == (
        "propose", "agent", {"columns": ["a", "b"]}, "ada",
    )  # fmt: skip


def test_without_a_skill_there_is_nothing_to_edit() -> None:
    with pytest.raises(IllegalTransition, match="nothing to edit"):
        decide(replace(concluded(), state=S.AWAITING_APPROVAL), None, RevisionAsked("ada", {}, ""), NOW)


# --- What became of the fix --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("failed", Outcome.NO_ACTION), ("aborted", Outcome.NO_ACTION), ("unknown", Outcome.INCONCLUSIVE)],
)
def test_an_execution_that_did_not_finish_goes_to_a_human(status: Any, outcome: Outcome) -> None:
    decision = decide(incident(S.EXECUTING), SKILL, ExecutionEnded("run", status, "why", NOW), NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome is outcome
    assert Milestone.EXEC_END not in decision.incident.milestones


@pytest.mark.parametrize(
    ("verdict", "barred"),
    [("not_recovered", (CONCLUSION.cause,)), ("regressed", (CONCLUSION.cause,)), ("inconclusive", ())],
)
def test_a_fix_that_did_not_help_is_barred_until_a_human_asks(verdict: Any, barred: tuple[str, ...]) -> None:
    decision = decide(incident(S.VERIFYING), SKILL, VerificationSampled(verdict, "0.4 s", None, False), NOW)
    assert decision.incident.state is S.NEEDS_HUMAN
    assert decision.incident.outcome == Outcome(verdict)
    assert decision.incident.working.barred == barred
    assert kinds(decision) == ["postmortem"]
    again = decide(decision.incident, SKILL, HumanAsked("ada"), NOW)
    assert again.incident.working.barred == ()


def test_a_regression_rolls_back_where_the_approval_said_so() -> None:
    worse = decide(incident(S.VERIFYING), SKILL, VerificationSampled("regressed", "9 s", None, True), NOW)
    assert worse.incident.state is S.VERIFYING
    assert [(s.kind, s.queue) for s in worse.steps] == [("authorise_rollback", "api")]
    back = decide(worse.incident, SKILL, RollbackAuthorised("e2"), NOW)
    assert back.incident.state is S.EXECUTING
    assert [(s.kind, dict(s.args)) for s in back.steps] == [("execute", {"execution": "e2"})]
    started = decide(back.incident, SKILL, ExecutionStarted("rollback", NOW), NOW)
    assert started.note == "rolling the fix back"
    for status in ("finished", "rolled_back", "failed", "unknown"):
        over = decide(started.incident, SKILL, ExecutionEnded("rollback", status, "x", NOW), NOW)
        assert over.incident.state is S.NEEDS_HUMAN
        assert over.incident.outcome is Outcome.REGRESSED
        assert over.incident.working.barred == (CONCLUSION.cause,)
        assert over.note.startswith("rolled back" if status in {"finished", "rolled_back"} else f"rollback {status}")


def test_a_rollback_that_cannot_be_started_is_still_a_regression() -> None:
    decision = decide(incident(S.VERIFYING), SKILL, StepFailed("authorise_rollback", "store away"), NOW)
    assert decision.incident.outcome is Outcome.REGRESSED
    assert decision.incident.working.barred == (CONCLUSION.cause,)


# --- The alert ends by itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.RECEIVED, S.INVESTIGATING, S.AWAITING_APPROVAL, S.NEEDS_HUMAN])
def test_an_alert_that_ends_before_a_fix_resolves_its_incident(state: IncidentState) -> None:
    decision = decide(incident(state), SKILL, AlertsResolved(), NOW)
    assert decision.incident.state is S.SELF_RESOLVED
    assert decision.incident.outcome is Outcome.SELF_RESOLVED
    assert kinds(decision) == (["void_approvals"] if state is S.AWAITING_APPROVAL else []) + ["postmortem"]
    closed = decide(decision.incident, SKILL, PostmortemWritten("x"), NOW)
    assert closed.incident.state is S.CLOSED


@pytest.mark.parametrize("state", [S.EXECUTING, S.VERIFYING, S.RESOLVED, S.SELF_RESOLVED, S.CLOSED])
def test_an_alert_that_ends_during_or_after_a_fix_decides_nothing(state: IncidentState) -> None:
    before = incident(state)
    decision = decide(before, SKILL, AlertsResolved(), NOW)
    assert decision.incident == before
    assert not decision.steps


@pytest.mark.parametrize("outcome", [Outcome.REGRESSED, Outcome.NOT_RECOVERED])
def test_an_alert_that_ends_after_a_fix_that_failed_does_not_hide_it(outcome: Outcome) -> None:
    decision = decide(incident(S.NEEDS_HUMAN, outcome=outcome), SKILL, AlertsResolved(), NOW)
    assert decision.incident.state is S.SELF_RESOLVED
    assert decision.incident.outcome is outcome


# --- Steps that give up ------------------------------------------------------------------------------------------

WAITED_FOR = {
    S.RECEIVED: {"triage"},
    S.INVESTIGATING: {"propose", "open_approval"},
    S.EXECUTING: {"execute"},
    S.VERIFYING: {"verify", "authorise_rollback"},
}  # and a sweep that gives up after a recovery leaves the postmortem to be written


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("kind", sorted(QUEUE_OF))
def test_a_step_that_gives_up_asks_a_human_only_when_its_state_waits_for_it(state: IncidentState, kind: str) -> None:
    before = incident(state)
    event = StepFailed(kind, "no answer")
    if kind in WAITED_FOR.get(state, set()):
        decision = decide(before, SKILL, event, NOW)
        assert decision.incident.state is S.NEEDS_HUMAN
        assert "no answer" in decision.incident.working.why
        assert kinds(decision) == ["postmortem"]
    elif kind == "sibling_sweep" and state is S.RESOLVED:
        decision = decide(before, SKILL, event, NOW)
        assert (decision.incident, kinds(decision)) == (before, ["postmortem"])
    elif kind in {"attribute", "postmortem", "remember"}:
        decision = decide(before, SKILL, event, NOW)
        assert decision.incident == before
        assert decision.note == f"{kind} gave up: no answer"
    else:
        with pytest.raises(IllegalTransition):
            decide(before, SKILL, event, NOW)


def test_a_check_that_gives_up_is_not_visible_and_the_investigation_goes_on() -> None:
    before = incident(S.INVESTIGATING)
    decision = decide(before, SKILL, StepFailed("check", "timed out", "ranking"), NOW)
    answer = decision.incident.working.answered["ranking"]
    assert (answer.status, answer.evidence) == ("not_visible", None)
    assert "timed out" in answer.summary
    assert decision.incident.working.pending == ("sample",)
    assert decision.incident.working.beliefs == pytest.approx(before.working.beliefs)


# --- Late and repeated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "late"),
    [
        (S.INVESTIGATING, TRIAGED),
        (S.INVESTIGATING, CheckAnswered("surge", YES)),
        (S.INVESTIGATING, StepFailed("check", "late", "surge")),
        (S.AWAITING_APPROVAL, CheckAnswered("surge", YES)),
        (S.AWAITING_APPROVAL, ProposalDrafted("p", 1, "x")),
        (S.EXECUTING, ApprovalGranted(("bob",), "e")),
        (S.EXECUTING, ApprovalDenied("bob", "")),
        (S.NEEDS_HUMAN, ApprovalGranted(("bob",), "e")),
        (S.NEEDS_HUMAN, ExecutionStarted("run", NOW)),
        (S.VERIFYING, ExecutionEnded("run", "finished", "", NOW)),
        (S.RESOLVED, VerificationSampled("regressed", "", None, True)),
        (S.SELF_RESOLVED, ApprovalOpened("a")),
        (S.SELF_RESOLVED, ApprovalGranted(("bob",), "e")),
        (S.CLOSED, HumanAsked("ada")),
        (S.CLOSED, HumanClosed("ada", "")),
    ],
)
def test_a_late_event_is_refused(state: IncidentState, late: Event) -> None:
    with pytest.raises(IllegalTransition):
        decide(incident(state), SKILL, late, NOW)


def test_a_repeated_answer_does_not_ask_for_a_second_proposal() -> None:
    found = investigated(incident())
    for name in found.incident.working.answered:
        with pytest.raises(IllegalTransition):
            decide(found.incident, SKILL, CheckAnswered(name, YES), NOW)


def test_an_answer_to_a_check_that_the_skill_lost_meanwhile_moves_nothing() -> None:
    asked = incident(S.INVESTIGATING)
    asked = replace(asked, working=replace(asked.working, pending=("gone", "sample")))
    decision = decide(asked, SKILL, CheckAnswered("gone", YES), NOW)
    assert decision.incident.working.pending == ("sample",)
    assert decision.incident.working.beliefs == pytest.approx(SKILL.priors())


@pytest.mark.parametrize("state", sorted(OPEN_STATES - {S.RESOLVED, S.SELF_RESOLVED}))
def test_a_postmortem_of_an_open_incident_closes_nothing(state: IncidentState) -> None:
    before = incident(state)
    assert decide(before, SKILL, PostmortemWritten("x"), NOW).incident == before


# --- A human ---------------------------------------------------------------------------------------------------


def test_a_human_can_ask_for_another_look_from_the_start() -> None:
    stuck = incident(S.NEEDS_HUMAN)
    decision = decide(stuck, SKILL, HumanAsked("ada"), NOW)
    assert decision.incident.state is S.INVESTIGATING
    assert decision.incident.outcome is None
    assert decision.incident.working == Working(beliefs=SKILL.priors(), pending=SKILL.first, revision=1, look=2)
    assert kinds(decision) == ["check"] * len(SKILL.first)
    with pytest.raises(IllegalTransition, match="cannot be read"):
        decide(stuck, None, HumanAsked("ada"), NOW)


def test_a_human_closes_with_a_reason() -> None:
    decision = decide(incident(S.NEEDS_HUMAN, outcome=None), SKILL, HumanClosed("ada", "known"), NOW)
    assert decision.incident.state is S.CLOSED
    assert decision.incident.outcome is Outcome.NO_ACTION
    assert decision.note == "closed by ada: known"
    assert kinds(decision) == ["postmortem"]
    assert kinds(decide(decision.incident, SKILL, PostmortemWritten("x"), NOW)) == ["remember"]
    kept = decide(incident(S.NEEDS_HUMAN, outcome=Outcome.REGRESSED), SKILL, HumanClosed("ada", ""), NOW)
    assert kept.incident.outcome is Outcome.REGRESSED


# --- Approvals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ApprovalState)
@pytest.mark.parametrize("decision", ["approve", "deny"])
@pytest.mark.parametrize("approved_by", [1, 2])
def test_a_decision_on_an_approval_is_a_legal_transition_or_refused(
    state: ApprovalState, decision: Any, approved_by: int
) -> None:
    try:
        after = approval_after(state, decision, approved_by, 2)
    except IllegalTransition:
        assert state not in {ApprovalState.PENDING, ApprovalState.PARTIALLY_APPROVED}
        return
    if after is not state:
        assert (state, after, "stanch_api") in TRANSITIONS["approval"]
    if decision == "deny":
        assert after is ApprovalState.DENIED
    else:
        assert after is (ApprovalState.APPROVED if approved_by == 2 else ApprovalState.PARTIALLY_APPROVED)
