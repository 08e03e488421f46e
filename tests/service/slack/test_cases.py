"""The values a message is built from, for one incident on its way from the alert to the postmortem."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from slack_sdk.models.blocks import Block

from connectors.slack import messages
from connectors.slack.messages import Message, Stage
from connectors.slack.people import People
from guardrails.policy import Policy
from lab.slack import blocks
from service import view
from service.configuration import Configuration, Target
from service.slack import cases, pictures
from service.slack.cases import Seen
from tests.service.memory_store import NOW, MemoryTransaction
from tests.service.pages_examples import story

if TYPE_CHECKING:
    from connectors.slack.messages import Case, Proposal

PEOPLE = People("T0LOCAL", {"U0ADA": "Ada"})
CONFIGURATION = Configuration(targets={"orders-db": Target(environment="production")}, approvers=["Ada", "Bob"])
ADVICE = {"cost_before": 48210.4, "cost_after": 112.3, "estimated_bytes": 61_000_000, "validated": True}


def seen(upto: str, **changes: Any) -> Seen:
    store = story(upto, **changes)
    tx = MemoryTransaction(store.tables, NOW)
    incident = tx.incident(1)
    assert incident is not None
    proposals = {row["id"]: row for row in store.tables["proposal"]}
    rows = [
        {**row, "risk": proposals[row["proposal_id"]]["verdict"]["risk"],
         **{name: proposals[row["proposal_id"]][name] for name in ("action", "target", "command", "rollback")}}
        for row in store.tables["approval"]
    ]  # fmt: skip
    decisions = tuple(store.tables["decision"])
    whole = view.whole(tx, incident, CONFIGURATION, {})  # type: ignore[arg-type]  # the transaction in memory
    post = store.tables["postmortem"][0]["markdown"] if store.tables["postmortem"] else None
    return Seen(whole, tuple((row, decisions) for row in rows), tuple(store.tables["execution"]), ADVICE, post, None)


def built(upto: str, policy: Policy = CONFIGURATION.rules, **changes: Any) -> tuple[Case, Proposal, Seen]:
    found = seen(upto, **changes)
    (fix,) = cases.proposals(found, policy, PEOPLE, {}, NOW)
    return cases.case(found, "https://stanch.example"), fix, found


def words(message: Message) -> str:
    for one in message.blocks:
        parsed = Block.parse(one)
        assert parsed is not None
        parsed.validate_json()
    assert blocks.of_message(list(message.blocks)) == ""
    return json.dumps(message.blocks, ensure_ascii=False)


@pytest.mark.parametrize(
    ("upto", "stage"),
    [("awaiting_approval", Stage.PROPOSED), ("executing", Stage.EXECUTING), ("verifying", Stage.VERIFYING),
     ("resolved", Stage.VERIFIED)],
)  # fmt: skip
def test_each_state_of_the_story_has_its_stage(upto: str, stage: Stage) -> None:
    assert built(upto)[1].stage is stage


def test_the_proposal_says_what_an_approver_asks() -> None:
    case, fix, _ = built("awaiting_approval")
    said = words(messages.approval(case, fix))
    for part in ("CREATE INDEX CONCURRENTLY", "DROP INDEX CONCURRENTLY", "orders-db (production)", "2,000,000 rows",
                 "plan cost 48,210 to 112", "Risk", "ShareUpdateExclusiveLock", "Counts as recovered"):  # fmt: skip
        assert part in said, part


def test_progress_has_a_bar_and_its_figures() -> None:
    case, fix, _ = built("executing")
    said = words(messages.approval(case, fix))
    assert "██████░░░░" in said
    assert "29,800 of 48,100 blocks" in said


def test_the_end_says_how_it_was_measured_and_how_long_it_took() -> None:
    case, fix, found = built("resolved")
    said = words(messages.approval(case, fix))
    assert "0.22 is within" in said
    assert "Time to restore" in said
    assert "<@U0ADA>" in said
    figures, sentences = cases.story(found.whole["postmortem"])
    assert "index st_orders is valid after 11.2 s" in words(messages.postmortem(case, figures, sentences))


def test_pictures_are_drawn_of_what_moved_and_of_the_fix() -> None:
    assert list(pictures.of(seen("received").whole)) == []
    drawn = {name: make() for name, _, make in pictures.of(seen("resolved").whole)}
    assert set(drawn) == {"cause", "check"}
    assert all(picture is not None and picture.startswith(b"\x89PNG") for picture in drawn.values())


@pytest.mark.parametrize(
    "upto", ["received", "investigating", "awaiting_approval", "executing", "verifying", "resolved"]
)
def test_the_incidents_own_message_is_valid_at_any_time(upto: str) -> None:
    found = seen(upto)
    case = cases.case(found, "https://stanch.example")
    assert "https://stanch.example/i/INC-1" in words(messages.incident(case))
    rows = cases.told_rows(found.whole)
    if rows:
        words(messages.timeline(case, rows[:20]))


def test_a_risk_that_slack_may_not_decide_says_so() -> None:
    policy = Policy.from_mapping({"approvers": ["Ada"], "policy": {"channels": {"medium": ["api"], "low": ["api"]}}})
    _, fix, _ = built("awaiting_approval", policy)
    assert "not approved in Slack" in fix.not_here


ROW: dict[str, Any] = {"state": "approved", "id": "a"}
RUN: dict[str, Any] = {"phase": "run", "state": "finished", "finished_at": NOW, "approval_id": "a", "result": {}}


@pytest.mark.parametrize(
    ("runs", "whole", "newest", "stage"),
    [
        ([], {"state": "executing", "outcome": None}, True, Stage.APPROVED),
        ([{**RUN, "state": "authorised"}], {"state": "needs_human", "outcome": None}, True, Stage.FAILED),
        ([{**RUN, "state": "aborted"}], {"state": "needs_human", "outcome": None}, True, Stage.FAILED),
        ([{**RUN, "state": "unknown"}], {"state": "executing", "outcome": None}, True, Stage.EXECUTING),
        ([RUN], {"state": "needs_human", "outcome": "inconclusive"}, True, Stage.NOT_VERIFIED),
        ([RUN], {"state": "closed", "outcome": "recovered"}, True, Stage.VERIFIED),
        ([RUN], {"state": "closed", "outcome": "recovered"}, False, Stage.NOT_VERIFIED),
        ([RUN, {**RUN, "phase": "rollback", "state": "rolled_back"}], {"state": "needs_human", "outcome": "regressed"},
         True, Stage.ROLLED_BACK),
        ([RUN, {**RUN, "phase": "rollback", "state": "failed"}], {"state": "needs_human", "outcome": "regressed"},
         True, Stage.FAILED),
        ([RUN, {**RUN, "phase": "rollback", "state": "started", "finished_at": None}],
         {"state": "executing", "outcome": None}, True, Stage.EXECUTING),
    ],
)  # fmt: skip
def test_what_became_of_an_approved_fix(
    runs: list[dict[str, Any]],
    whole: dict[str, Any],
    newest: bool,
    stage: Stage,
) -> None:
    assert cases.stage_of(ROW, runs, whole, newest=newest) is stage


@pytest.mark.parametrize("state", ["denied", "expired", "superseded", "cancelled"])
def test_what_was_not_approved_is_over(state: str) -> None:
    assert cases.stage_of({"state": state}, (), {"state": "needs_human"}, newest=True) == Stage(state)
