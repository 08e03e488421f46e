from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.incident import ApprovalState, Conclusion, IncidentState
from connectors.target.memory import IDENTITY
from guardrails.facts import Facts, TableFacts
from guardrails.policy import Policy
from service.steps import investigate
from service.steps.approve import Ask, Declined, Taken, take
from service.steps.revise import Edit, Superseded, revise
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT
from tests.service.incident_world import ACTION, CONFIGURATION, KEY, SKILLS, World, ask, ports_of

if TYPE_CHECKING:
    from datetime import datetime

    from agent.database.snapshot import NotVisible
    from guardrails.action import Action

pytestmark = pytest.mark.integration
POLICY = CONFIGURATION.rules
ADA, BOB = "ada@example.com", "bob@example.com"
WIDER: dict[str, Any] = {**asdict(ACTION), "columns": ["customer_id", "placed_at"]}


def awaiting(world: World) -> tuple[int, str, str]:
    """As world.awaiting(), with the conclusion that an investigation would have left."""
    number, approval, signed = world.awaiting()
    conclusion = Conclusion("missing_index", "Missing index", 0.9, 0.8, 0.95, None)
    with world.agent.store.transaction() as tx:
        incident = tx.incident(number, lock=True)
        assert incident is not None
        working = replace(incident.working, conclusion=conclusion).as_data()
    world.database.run(
        "UPDATE stanch.incident SET working = %s::jsonb, version = version + 1 WHERE id = %s",
        (json.dumps(working), number),
    )
    return number, approval, signed


def edit(signed: str, person: str = ADA, params: dict[str, Any] = WIDER, *, revision: int = 1) -> Edit:
    return Edit(revision, signed, params, person, "api", "covers the sort")


def judging(world: World, **facts: Any) -> Runner:
    """A worker that drafts, over a target that is as `facts` say."""

    def seen(target: str, _action: Action, now: datetime, recent: int) -> tuple[Facts, tuple[NotVisible, ...]]:
        table = TableFacts("public", "orders", ("id", "customer_id", "placed_at"), "r", 1000, 8192)
        found = Facts(now, target, "production", 150018, (table,), recent_executions=recent)
        return replace(found, **facts), ()

    ports = replace(
        ports_of(world.database.store(AGENT)),
        facts=seen,
        identity=lambda name: {"name": name, "system_identifier": IDENTITY.system_identifier,
                               "database": IDENTITY.database},
    )  # fmt: skip
    return Runner(ports.store, SKILLS, {"propose": investigate.propose(ports)}, "worker")


def redraft(world: World, number: int, worker: Runner) -> tuple[str, str]:
    """The worker drafts and the API opens. Approval and digest of the new revision."""
    assert worker.run(world.steps(number, "propose")[-1][0])
    assert world.api.run(world.steps(number, "open_approval")[-1][0])
    rows = world.database.run(
        "SELECT id::text, digest FROM stanch.approval WHERE incident_id = %s AND state = 'pending'", (number,)
    )
    ((approval, signed),) = rows
    return approval, signed


def test_an_edit_voids_what_waited_and_asks_for_the_next_revision(world: World) -> None:
    number, approval, signed = awaiting(world)
    assert revise(world.api, POLICY, approval, edit(signed)) == Superseded(f"INC-{number}", 2)
    assert world.approval_state(approval) == ApprovalState.SUPERSEDED
    assert world.incident(number).state is IncidentState.INVESTIGATING
    late = take(world.api, POLICY, KEY, approval, ask(signed, BOB))
    assert isinstance(late, Declined)
    assert late.why == "already superseded"
    second, digest = redraft(world, number, judging(world))
    assert digest != signed
    row = world.one("latest_proposal", incident=number)
    assert row is not None
    assert (row["revision"], row["proposed_by"], row["params"]["columns"]) == (2, ADA, ["customer_id", "placed_at"])
    assert row["command"].endswith("(customer_id, placed_at)")
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL
    assert world.approval_state(second) == "pending"


def test_nobody_approves_their_own_edit_in_production(world: World) -> None:
    number, approval, signed = awaiting(world)
    revise(world.api, POLICY, approval, edit(signed))
    second, digest = redraft(world, number, judging(world))
    own = take(world.api, POLICY, KEY, second, ask(digest, ADA, revision=2))
    assert isinstance(own, Declined)
    assert own.why == f"{ADA} edited this fix; somebody else has to approve it"
    assert isinstance(take(world.api, POLICY, KEY, second, ask(digest, BOB, revision=2)), Taken)


def test_whoever_edited_may_still_say_no(world: World) -> None:
    number, approval, signed = awaiting(world)
    revise(world.api, POLICY, approval, edit(signed))
    second, digest = redraft(world, number, judging(world))
    denied = take(world.api, POLICY, KEY, second, ask(digest, ADA, "deny", revision=2))
    assert isinstance(denied, Taken)
    assert denied.state is ApprovalState.DENIED


def test_where_the_policy_lets_it_an_editor_approves(world: World) -> None:
    number, approval, signed = awaiting(world)
    revise(world.api, POLICY, approval, edit(signed))
    second, digest = redraft(world, number, judging(world, environment="staging"))
    policy = Policy.from_mapping({"approvers": [ADA], "policy": {"self_approval_in": ["staging"]}})
    assert isinstance(take(world.api, policy, KEY, second, ask(digest, ADA, revision=2)), Taken)


def test_an_edit_that_the_guardrail_refuses_goes_to_a_human(world: World) -> None:
    number, approval, signed = awaiting(world)
    wrong = {**WIDER, "columns": ["no_such_column"]}
    assert isinstance(revise(world.api, POLICY, approval, edit(signed, params=wrong)), Superseded)
    assert judging(world).run(world.steps(number, "propose")[-1][0])
    incident = world.incident(number)
    assert incident.state is IncidentState.NEEDS_HUMAN
    assert "no_such_column" in incident.working.why


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"revision": 2}, "conflict"),
        ({"digest": "0" * 64}, "conflict"),
        ({"person": "mallory@example.com"}, "forbidden"),
        ({"params": {**WIDER, "concurrently": "no"}}, "unusable"),
        ({"params": {"schema": "public"}}, "unusable"),
        ({"params": {**WIDER, "columns": "customer_id"}}, "unusable"),
        ({"params": {**asdict(ACTION), "columns": list(ACTION.columns)}}, "unusable"),
    ],
)
def test_an_edit_that_does_not_fit_changes_nothing_and_is_audited(
    world: World, change: dict[str, Any], kind: str
) -> None:
    number, approval, signed = awaiting(world)
    answer = revise(world.api, POLICY, approval, replace(edit(signed), **change))
    assert isinstance(answer, Declined)
    assert answer.kind == kind
    assert world.approval_state(approval) == "pending"
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL
    assert world.audit(number)[-1] == "EditRefused"


def test_an_edit_without_a_skill_that_names_a_fix_leaves_what_waits(world: World) -> None:
    number, approval, signed = world.awaiting()  # no conclusion, so no remediation to draft from
    answer = revise(world.api, POLICY, approval, edit(signed))
    assert isinstance(answer, Declined)
    assert "nothing to edit" in answer.why
    assert world.approval_state(approval) == "pending"
    assert world.incident(number).state is IncidentState.AWAITING_APPROVAL


def test_of_an_edit_and_an_approval_at_once_one_counts(world: World) -> None:
    number, approval, signed = awaiting(world)
    taken = take(world.api, POLICY, KEY, approval, Ask("approve", 1, signed, BOB, "api", ""))
    assert isinstance(taken, Taken)
    answer = revise(world.api, POLICY, approval, edit(signed))
    assert isinstance(answer, Declined)
    assert answer.why == "already approved"
    assert world.incident(number).state is IncidentState.EXECUTING
