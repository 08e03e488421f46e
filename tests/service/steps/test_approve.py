from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.incident import ApprovalState, IncidentState, Milestone
from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from guardrails.permit import Permit, VerifyKeys, verify
from guardrails.policy import Policy
from service import wiring
from service.steps.approve import Ask, Declined, Taken, escalate, expire, take
from service.steps.runner import Runner
from tests.connectors.store.database import API
from tests.service.incident_world import CONFIGURATION, KEY, PEOPLE, SKILLS, World, ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.events import Event
    from agent.incident import Incident
    from connectors.store.store import Transaction

pytestmark = pytest.mark.integration
POLICY = CONFIGURATION.rules


def decide(world: World, approval: str, asked: Ask, policy: Policy = POLICY) -> Taken | Declined:
    return take(world.api, policy, KEY, approval, asked)


def counts(world: World, approval: str) -> dict[str, int]:
    ((decisions, permits, executions),) = world.database.run(
        "SELECT (SELECT count(*) FROM stanch.decision WHERE approval_id = a.id),"
        " (SELECT count(*) FROM stanch.permit WHERE approval_id = a.id),"
        " (SELECT count(*) FROM stanch.execution WHERE approval_id = a.id) FROM stanch.approval a WHERE a.id = %s",
        (approval,),
    )
    return {"decisions": decisions, "permits": permits, "executions": executions}


NOTHING = {"decisions": 0, "permits": 0, "executions": 0}


def test_an_approval_signs_authorises_and_asks_for_one_execution(world: World) -> None:
    number, approval, signed = world.awaiting()
    assert decide(world, approval, ask(signed)) == Taken(ApprovalState.APPROVED, ("ada@example.com",), 1)
    assert counts(world, approval) == {"decisions": 1, "permits": 1, "executions": 1}
    incident = world.incident(number)
    assert incident.state is IncidentState.EXECUTING
    assert Milestone.DECIDED in incident.milestones
    (execution,) = world.rows("executions", incident=number)
    assert (execution["phase"], execution["state"]) == ("run", "authorised")
    ((step, state),) = world.steps(number, "execute")
    rows = world.database.run("SELECT queue, args ->> 'execution' FROM stanch.step WHERE id = %s", (step,))
    assert (state, rows) == ("ready", [("execute", str(execution["id"]))])
    assert world.audit(number)[-2:] == ["Decided", "ApprovalGranted"]


def test_the_permit_verifies_and_names_what_was_signed(world: World) -> None:
    _, approval, signed = world.awaiting()
    decide(world, approval, ask(signed))
    (row,) = world.rows("permits", approval=approval)
    permit = Permit(
        str(row["approval_id"]), row["digest"], row["person"], row["decided_at"], row["key_id"], row["signature"]
    )
    keys = VerifyKeys.from_text(KEY.public_text())
    assert (permit.approval_id, permit.digest, permit.person) == (approval, signed, "ada@example.com")
    assert verify(keys, permit)
    assert not verify(keys, replace(permit, person="bob@example.com"))


def test_of_eight_who_click_at_once_one_decides(fresh_world: World) -> None:
    """500 approvals, eight people each: one winner, one execution, one permit, and seven who are told so."""
    world = fresh_world
    waiting = [world.awaiting() for _ in range(500)]
    for number, approval, signed in waiting:
        barrier = threading.Barrier(8)

        def click(person: str, approval: str = approval, signed: str = signed, at: threading.Barrier = barrier) -> str:
            at.wait(20)
            return type(decide(world, approval, ask(signed, person))).__name__

        with ThreadPoolExecutor(8) as pool:
            assert Counter(pool.map(click, PEOPLE)) == {"Taken": 1, "Declined": 7}
        assert counts(world, approval) == {"decisions": 1, "permits": 1, "executions": 1}
        assert len(world.steps(number, "execute")) == 1
    ((executions, refused),) = world.database.run(
        "SELECT (SELECT count(*) FROM stanch.execution),"
        " (SELECT count(*) FROM stanch.audit WHERE action = 'DecisionRefused')"
    )
    assert (executions, refused) == (500, 3500)


HIGH = {"locks": [], "risk": "high", "findings": []}


def test_what_cannot_be_undone_is_not_approved_in_a_chat(world: World) -> None:
    number, approval, signed = world.awaiting(verdict=jsonb(HIGH))
    asked = replace(ask(signed), channel="slack")
    answer = decide(world, approval, asked)
    assert isinstance(answer, Declined)
    assert (answer.kind, answer.why) == (
        "forbidden", "high risk is not approved by slack; approve it by api, dashboard",
    )  # fmt: skip
    assert counts(world, approval) == NOTHING
    assert world.audit(number)[-1] == "DecisionRefused"
    assert isinstance(decide(world, approval, replace(asked, decision="deny")), Taken)


def test_the_policy_says_where_a_risk_is_approved(world: World) -> None:
    _, approval, signed = world.awaiting()
    policy = Policy.from_mapping({"approvers": ["ada@example.com"], "policy": {"channels": {"medium": ["slack"]}}})
    assert isinstance(decide(world, approval, ask(signed), policy), Declined)
    assert isinstance(decide(world, approval, replace(ask(signed), channel="slack"), policy), Taken)


def test_nobody_deciding_is_said_once_and_the_decision_still_counts(fresh_world: World) -> None:
    world = fresh_world
    number, approval, signed = world.awaiting()
    impatient = replace(POLICY, escalate_after_s=1e-6, escalate_to=("on-call lead",))
    assert escalate(world.api, POLICY) == 0
    assert [escalate(world.api, impatient) for _ in range(3)] == [1, 0, 0]
    assert world.audit(number)[-1] == "Escalated"
    (row,) = world.database.run(
        "SELECT data ->> 'note' FROM stanch.audit WHERE incident_id = %s AND action = 'Escalated'", (number,)
    )
    assert row == ("nobody has decided for 0 s; asked again: on-call lead",)
    assert isinstance(decide(world, approval, ask(signed)), Taken)
    assert escalate(world.api, impatient) == 0


def test_what_was_decided_is_not_escalated(fresh_world: World) -> None:
    world = fresh_world
    _, approval, signed = world.awaiting()
    decide(world, approval, ask(signed))
    assert escalate(world.api, replace(POLICY, escalate_after_s=1e-6)) == 0


def test_approve_deny_and_expire_at_once_have_one_outcome(world: World) -> None:
    outcomes = Counter[str]()
    for round_ in range(20):
        number, approval, signed = world.awaiting(decide_s=0.25 if round_ % 2 else 900.0)
        barrier = threading.Barrier(3)

        def at_once(act: Callable[[], object], at: threading.Barrier = barrier) -> None:
            at.wait(20)
            act()

        acts: list[Callable[[], object]] = [
            lambda a=approval, s=signed: decide(world, a, ask(s)),  # type: ignore[misc]
            lambda a=approval, s=signed: decide(world, a, ask(s, "bob@example.com", "deny")),  # type: ignore[misc]
            lambda: expire(world.api),
        ]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(at_once, acts))
        if world.approval_state(approval) == "pending":
            # The limit fell between the look for overdue ones and the two decisions: the next look ends it.
            expire(world.api)
        state = world.approval_state(approval)
        assert state in {"approved", "denied", "expired"}
        outcomes[state] += 1
        found = counts(world, approval)
        executing = world.incident(number).state is IncidentState.EXECUTING
        assert found["executions"] == (state == "approved") == executing
        assert found["decisions"] == (state != "expired")
    assert set(outcomes) <= {"approved", "denied", "expired"}


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        ({"revision": 2}, "conflict", "not the revision"),
        ({"digest": "0" * 64}, "conflict", "not the revision"),
        ({"person": "mallory@example.com"}, "forbidden", "mallory@example.com is not on the approver list for shop"),
        ({"person": "ADA@example.com"}, "forbidden", "not on the approver list"),
    ],
)
def test_what_does_not_fit_is_declined_and_audited(
    world: World, change: dict[str, object], kind: str, why: str
) -> None:
    number, approval, signed = world.awaiting()
    answer = decide(world, approval, replace(ask(signed), **change))  # type: ignore[arg-type]
    assert isinstance(answer, Declined)
    assert answer.kind == kind
    assert why in answer.why
    if kind == "conflict":
        assert answer.current["digest"] == signed
    assert counts(world, approval) == NOTHING
    assert world.approval_state(approval) == "pending"
    assert world.audit(number)[-1] == "DecisionRefused"


def test_an_empty_approver_list_means_nobody(world: World) -> None:
    _, approval, signed = world.awaiting()
    answer = decide(world, approval, ask(signed), Policy())
    assert isinstance(answer, Declined)
    assert (answer.kind, "nobody is on the approver list" in answer.why) == ("forbidden", True)


def test_an_approver_of_another_target_may_not_approve_here(world: World) -> None:
    _, approval, signed = world.awaiting()
    policy = Policy.from_mapping({"approvers": [{"person": "ada@example.com", "targets": ["billing"]}]})
    assert isinstance(decide(world, approval, ask(signed), policy), Declined)


def test_an_approval_that_does_not_exist_is_unknown(world: World) -> None:
    answer = decide(world, "00000000-0000-0000-0000-000000000000", ask("0" * 64))
    assert isinstance(answer, Declined)
    assert answer.kind == "unknown"


def test_the_stores_clock_says_when_it_is_too_late(world: World) -> None:
    number, approval, signed = world.awaiting(decide_s=-1.0)
    answer = decide(world, approval, ask(signed))
    assert isinstance(answer, Declined)
    assert "time to decide is over" in answer.why
    assert counts(world, approval) == NOTHING
    assert expire(world.api) >= 1
    assert world.approval_state(approval) == "expired"
    incident = world.incident(number)
    assert (incident.state, incident.outcome) == (IncidentState.NEEDS_HUMAN, "no_action")
    assert isinstance(decide(world, approval, ask(signed)), Declined)


def test_two_who_are_needed_approve_one_after_the_other(world: World) -> None:
    number, approval, signed = world.awaiting(needed=2)
    first = decide(world, approval, ask(signed))
    assert first == Taken(ApprovalState.PARTIALLY_APPROVED, ("ada@example.com",), 2)
    assert counts(world, approval) == {"decisions": 1, "permits": 1, "executions": 0}
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL
    again = decide(world, approval, ask(signed))
    assert isinstance(again, Declined)
    assert again.why == "ada@example.com decided before"
    second = decide(world, approval, ask(signed, "bob@example.com"))
    assert second == Taken(ApprovalState.APPROVED, ("ada@example.com", "bob@example.com"), 2)
    assert counts(world, approval) == {"decisions": 2, "permits": 2, "executions": 1}
    assert world.incident(number).state is IncidentState.EXECUTING


def test_one_deny_outweighs_an_approval_of_two(world: World) -> None:
    number, approval, signed = world.awaiting(needed=2)
    decide(world, approval, ask(signed))
    denied = decide(world, approval, ask(signed, "bob@example.com", "deny"))
    assert isinstance(denied, Taken)
    assert denied.state is ApprovalState.DENIED
    assert counts(world, approval)["executions"] == 0
    incident = world.incident(number)
    assert incident.state is IncidentState.NEEDS_HUMAN
    assert incident.working.why == "denied by bob@example.com: because"


@pytest.mark.parametrize("state", ["superseded", "cancelled", "denied", "expired", "approved"])
def test_what_is_over_takes_no_decision(world: World, state: str) -> None:
    _, approval, signed = world.awaiting()
    world.database.run("UPDATE stanch.approval SET state = %s, version = version + 1 WHERE id = %s", (state, approval))
    answer = decide(world, approval, ask(signed))
    assert isinstance(answer, Declined)
    assert (answer.kind, answer.why) == ("conflict", f"already {state}")
    assert counts(world, approval) == NOTHING


class Killed(BaseException):
    """A process that is gone: nothing catches it."""


class Dying(Runner):
    """Is killed where the machine would be applied: after decision, permit and execution were written."""

    def apply(self, tx: Transaction, incident: Incident, event: Event, *, actor: str | None = None) -> Incident:
        super().apply(tx, incident, event, actor=actor)
        raise Killed


def test_a_process_killed_between_leaves_nothing_of_a_decision(world: World) -> None:
    number, approval, signed = world.awaiting()
    before = world.audit(number)
    dying = Dying(world.database.store(API), SKILLS, wiring.API_HANDLERS, "api")
    with pytest.raises(Killed):
        take(dying, POLICY, KEY, approval, ask(signed))
    assert counts(world, approval) == NOTHING
    assert world.approval_state(approval) == "pending"
    assert (world.audit(number), world.steps(number, "execute")) == (before, [])
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL
    assert isinstance(decide(world, approval, ask(signed)), Taken)


def test_a_decision_without_the_store_is_not_taken(fresh_world: World) -> None:
    world = fresh_world
    _, approval, signed = world.awaiting()
    with world.database.away(), pytest.raises(Unreachable):
        decide(world, approval, ask(signed))
    assert counts(world, approval) == NOTHING


def test_a_proposal_that_is_not_what_its_digest_names_is_never_shown(world: World) -> None:
    number = world.investigating()
    proposal, _ = world.propose(number, needed=1, decide_s=900, digest="0" * 64)
    step = world.add_step("open_approval", number, "api", proposal=proposal)
    assert world.api.run(step)
    assert world.step(step)["state"] == "failed"
    assert world.database.run("SELECT count(*) FROM stanch.approval WHERE incident_id = %s", (number,)) == [(0,)]
    assert world.incident(number).state is not IncidentState.AWAITING_APPROVAL


def test_a_rollback_is_authorised_once(world: World) -> None:
    number, approval, signed = world.awaiting()
    decide(world, approval, ask(signed))
    world.database.run("UPDATE stanch.incident SET state = 'verifying', version = version + 1 WHERE id = %s", (number,))
    first = world.add_step("authorise_rollback", number, "api")
    assert world.api.run(first)
    assert world.incident(number).state is IncidentState.EXECUTING
    assert counts(world, approval)["executions"] == 2
    assert world.api.run(world.add_step("authorise_rollback", number, "api"))
    assert counts(world, approval)["executions"] == 2
    assert len(world.steps(number, "execute")) == 2
