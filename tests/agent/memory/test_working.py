from __future__ import annotations

from typing import TYPE_CHECKING

from agent.events import (
    AlertsResolved,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOpened,
    ExecutionEnded,
    ExecutionStarted,
    HumanAsked,
    ProposalDrafted,
    RevisionAsked,
    RollbackAuthorised,
    VerificationSampled,
)
from agent.incident import ApprovalNote, Incident, InFlight, Mode, Working
from agent.machine import decide
from tests.agent.examples import NOW, SKILL, concluded

if TYPE_CHECKING:
    from agent.events import Event


def after(now: Incident, *happened: Event) -> Working:
    for event in happened:
        now = decide(now, SKILL, event, NOW).incident
    return now.working


PROPOSED = (ProposalDrafted("p", 1, "CREATE INDEX"), ApprovalOpened("a"))
GRANTED = (*PROPOSED, ApprovalGranted(("ada", "bob"), "e"))


def test_what_is_under_way_follows_the_fix_from_draft_to_end() -> None:
    assert after(concluded(), PROPOSED[0]).in_flight == (InFlight("proposal", "p"),)
    assert after(concluded(), *PROPOSED).in_flight == (InFlight("approval", "a"),)
    assert after(concluded(), *GRANTED).in_flight == (InFlight("execution", "e"),)
    started = (*GRANTED, ExecutionStarted("run", NOW))
    assert after(concluded(), *started).in_flight == (InFlight("execution", "e"),)
    assert after(concluded(), *started, ExecutionEnded("run", "finished", "", NOW)).in_flight == ()


def test_an_execution_whose_end_nobody_knows_stays_under_way() -> None:
    ended = after(concluded(), *GRANTED, ExecutionEnded("run", "unknown", "lost", NOW))
    assert ended.in_flight == (InFlight("execution", "e"),)


def test_a_rollback_is_under_way_until_it_ended() -> None:
    verified = (
        *GRANTED,
        ExecutionEnded("run", "finished", "", NOW),
        VerificationSampled("regressed", "", None, True),
        RollbackAuthorised("e2"),
    )
    assert after(concluded(), *verified).in_flight == (InFlight("rollback", "e2"),)
    assert after(concluded(), *verified, ExecutionEnded("rollback", "rolled_back", "", NOW)).in_flight == ()


def test_what_became_of_every_approval_is_kept() -> None:
    edited = after(concluded(), *PROPOSED, RevisionAsked("bob", {"columns": ["a"]}, ""))
    assert edited.approvals == (ApprovalNote("a", 1, "superseded", ("bob",)),)
    again = (*PROPOSED, RevisionAsked("bob", {"columns": ["a"]}, ""), ProposalDrafted("q", 2, "x"), ApprovalOpened("b"))
    granted = after(concluded(), *again, ApprovalGranted(("ada",), "e"))
    assert granted.approvals == (
        ApprovalNote("a", 1, "superseded", ("bob",)),
        ApprovalNote("b", 2, "approved", ("ada",)),
    )
    for event, state, persons in (
        (ApprovalDenied("ada", ""), "denied", ("ada",)),
        (ApprovalExpired(), "expired", ()),
        (AlertsResolved(), "cancelled", ()),
    ):
        ended = after(concluded(), *PROPOSED, event)
        assert (ended.approvals[-1].state, ended.approvals[-1].persons, ended.in_flight) == (state, persons, ())


def test_another_look_forgets_the_investigation_and_keeps_the_approvals() -> None:
    looked = after(concluded(), *PROPOSED, ApprovalDenied("ada", ""), HumanAsked("ada"))
    assert looked.approvals[0].state == "denied"
    assert looked.conclusion is None
    assert looked.look == 2


def test_in_propose_mode_nothing_is_under_way() -> None:
    assert after(concluded(mode=Mode.PROPOSE), PROPOSED[0]).in_flight == ()


def test_a_state_of_an_earlier_version_is_read() -> None:
    old = {name: value for name, value in concluded().working.as_data().items() if name in {"beliefs", "answered"}}
    for answer in old["answered"].values():
        del answer["result"]
    read = Working.from_data(old)
    assert (read.look, read.calls, read.in_flight, read.approvals) == (1, (), (), ())
    assert read.answered == concluded().working.answered
