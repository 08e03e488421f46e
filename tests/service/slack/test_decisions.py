"""A click in Slack: decided in the store or refused there, and the person is told."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from connectors.slack.client import Slack
from connectors.slack.messages import self_test
from lab.slack.workspace import BOT_TOKEN, CHANNEL, form, signed
from service.slack.clicks import _can_be_typed, _typed
from service.slack.payloads import NotOurs
from service.steps.approve import expire
from tests.service.slack.scene import ADA, BOB, RHEA, STRANGER, until

if TYPE_CHECKING:
    from tests.service.slack.scene import Scene

pytestmark = pytest.mark.integration

DENIAL = {"why": {"code": {"selected_option": {"value": "not_now"}}}, "note": {"text": {"value": "month-end batch"}}}


def decided(scene: Scene, approval: str) -> list[Any]:
    return scene.world.database.run(
        "SELECT person, decision, channel, reason FROM stanch.decision WHERE approval_id = %s", (approval,)
    )


def test_a_click_on_approve_is_a_durable_decision_with_a_permit(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    answer = scene.press(message, "rem_approve")
    assert (answer.status_code, answer.content) == (200, b"")
    until(lambda: scene.world.approval_state(approval) == "approved")
    assert decided(scene, approval) == [("ada@example.com", "approve", "slack", None)]
    permits = scene.world.rows("permits", approval=approval)
    assert [row["person"] for row in permits] == ["ada@example.com"]


def test_buttons_that_decide_are_gone_after_the_decision(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    scene.press(message, "rem_approve")
    until(lambda: scene.world.approval_state(approval) == "approved")
    scene.turn()
    assert all(message.button(name) is None for name in ("rem_approve", "rem_deny", "rem_edit"))
    assert f"<@{ADA}>" in json.dumps(message.blocks)


def test_denying_asks_why_and_keeps_the_answer(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    opened = len(scene.workspace.views)
    assert scene.press(message, "rem_deny").status_code == 200
    until(lambda: len(scene.workspace.views) > opened)
    view_id = list(scene.workspace.views)[-1]
    assert scene.submit(view_id, ADA, DENIAL).status_code == 200
    until(lambda: scene.world.approval_state(approval) == "denied")
    assert decided(scene, approval) == [("ada@example.com", "deny", "slack", "Not now: month-end batch")]
    scene.turn()
    assert "month-end batch" in json.dumps(message.blocks)


def test_a_modal_opened_too_late_is_told_to_the_person(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    before = len(scene.workspace.whispers(ADA))
    body = form(scene.workspace.press(message, "rem_deny", ADA))
    scene.waited_s[0] += 4.0
    assert scene.send("interactivity", body).status_code == 200
    assert "Press again" in scene.answered(ADA, before + 1)
    assert scene.world.approval_state(approval) == "pending"


def test_a_denial_without_a_reason_is_handed_back(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    opened = len(scene.workspace.views)
    scene.press(message, "rem_deny")
    until(lambda: len(scene.workspace.views) > opened)
    answer = scene.submit(list(scene.workspace.views)[-1], ADA, {})
    assert answer.json()["response_action"] == "errors"
    assert scene.world.approval_state(approval) == "pending"


def test_of_two_needed_the_first_is_told_that_one_is_missing(scene: Scene) -> None:
    _, approval, message = scene.waiting(needed=2)
    before = len(scene.workspace.whispers(BOB))
    scene.press(message, "rem_approve", BOB)
    assert "1 of 2" in scene.answered(BOB, before + 1)
    scene.turn()
    assert message.button("rem_approve") is not None
    scene.press(message, "rem_approve", ADA)
    until(lambda: scene.world.approval_state(approval) == "approved")


def refused(scene: Scene, approval: str, number: int | None, user: str, words: str, **changes: Any) -> dict[str, Any]:
    """Nothing is decided, the person hears why, and the audit has a row."""
    message, before = scene.proposal(approval), len(scene.workspace.whispers(user))
    rows = len(scene.refusals(number))
    assert scene.press(message, "rem_approve", user, **changes).status_code == 200
    assert words in scene.answered(user, before + 1)
    until(lambda: len(scene.refusals(number)) > rows)
    assert decided(scene, approval) == []
    return scene.refusals(number)[-1]


def test_somebody_who_is_not_on_the_list_is_refused(scene: Scene) -> None:
    number, approval, _ = scene.waiting()
    row = refused(scene, approval, number, RHEA, "not on the approver list")
    assert row["actor"] == "rhea@example.com"


def test_somebody_nobody_named_is_refused(scene: Scene) -> None:
    number, approval, _ = scene.waiting()
    scene.workspace.add(STRANGER)
    row = refused(scene, approval, number, STRANGER, "slack.people")
    assert row["actor"] == f"slack:T0LOCAL/{STRANGER}"
    assert row["channel"] == "slack"


@pytest.mark.parametrize(
    ("mark", "words"),
    [("is_restricted", "guest"), ("is_ultra_restricted", "guest"), ("is_bot", "bot"), ("deleted", "deactivated"),
     ("is_stranger", "another workspace")],
)  # fmt: skip
def test_guests_bots_and_accounts_of_others_are_refused(scene: Scene, mark: str, words: str) -> None:
    number, approval, _ = scene.waiting()
    scene.workspace.add(ADA, **{mark: True})
    try:
        refused(scene, approval, number, ADA, words)
    finally:
        scene.workspace.add(ADA)


def test_a_signed_click_from_another_workspace_is_refused(scene: Scene) -> None:
    number, approval, _ = scene.waiting()
    refused(scene, approval, number, ADA, "another workspace", team="T0OTHER")


def test_when_slack_does_not_say_who_it_is_the_click_counts_for_nothing(scene: Scene) -> None:
    number, approval, _ = scene.waiting()
    scene.workspace.broken["users.info"] = "internal_error"
    try:
        refused(scene, approval, number, ADA, "does not say who you are")
    finally:
        scene.workspace.broken.clear()


@pytest.mark.parametrize(
    "change",
    [
        {"h": "0" * 12},
        {"r": 2},
        {"a": str(uuid.uuid4())},
        {"n": "another-nonce"},
        {"x": 1},
        {"h": "0" * 64},
        {"r": "1"},
    ],
)
def test_a_value_that_was_changed_is_refused(scene: Scene, change: dict[str, Any]) -> None:
    number, approval, message = scene.waiting()
    button = message.button("rem_approve")
    assert button is not None
    value = json.dumps({**json.loads(button["value"]), **change})
    refused(scene, approval, number, ADA, "Not taken", value=value)


@pytest.mark.parametrize("value", ["", "{", "[]", "null", "\x00", '{"a":1}', "9" * 2000, "[" * 1900])
def test_a_value_that_is_no_button_is_refused(scene: Scene, value: str) -> None:
    number, approval, _ = scene.waiting()
    refused(scene, approval, number, ADA, "Not taken", value=value or " ")


def test_the_right_value_in_another_message_is_refused(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    other_number, other, _ = scene.waiting()
    button = message.button("rem_approve")
    assert button is not None
    refused(scene, other, other_number, ADA, "out of date", value=button["value"])
    assert decided(scene, approval) == []
    assert number != other_number


def test_a_click_after_the_time_to_decide_is_refused(scene: Scene) -> None:
    number, approval, _ = scene.waiting(decide_s=1.5)
    until(lambda: scene.world.database.run(
        "SELECT decide_by < clock_timestamp() FROM stanch.approval WHERE id = %s", (approval,))[0][0])  # fmt: skip
    row = refused(scene, approval, number, ADA, "time to decide is over")
    assert row["actor"] == "ada@example.com"


def over(scene: Scene, approval: str) -> None:
    until(lambda: (expire(scene.world.api), scene.world.approval_state(approval))[1] == "expired")


def test_a_click_on_what_expired_says_so(scene: Scene) -> None:
    number, approval, message = scene.waiting(decide_s=1.0)
    over(scene, approval)
    refused(scene, approval, number, ADA, "already expired")
    scene.turn()
    assert message.button("rem_approve") is None
    assert message.button("rem_refresh") is not None


def test_the_second_click_hears_who_was_first(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    scene.press(message, "rem_approve", ADA)
    until(lambda: scene.world.approval_state(approval) == "approved")
    before = len(scene.workspace.whispers(BOB))
    scene.press(message, "rem_approve", BOB)
    assert "already approved by ada@example.com" in scene.answered(BOB, before + 1)


def test_ten_clicks_at_once_are_one_execution(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    for index in range(10):
        scene.press(message, "rem_approve", (ADA, BOB)[index % 2])
    until(lambda: len(decided(scene, approval)) + len(scene.refusals(number)) >= 10)
    assert len(decided(scene, approval)) == 1
    assert len(scene.world.rows("executions", incident=number)) == 1


def test_the_same_signed_request_decides_once(scene: Scene) -> None:
    number, approval, message = scene.waiting(needed=2)
    body = form(scene.workspace.press(message, "rem_approve", ADA))
    headers = signed(body)
    assert scene.send("interactivity", body, headers).status_code == 200
    assert scene.send("interactivity", body, headers).status_code == 401
    until(lambda: scene.world.approval_state(approval) == "partially_approved")
    assert scene.refusals(number) == []


def test_a_replay_at_another_process_finds_the_request_in_the_store(scene: Scene) -> None:
    number, approval, message = scene.waiting(needed=2)
    body = form(scene.workspace.press(message, "rem_approve", ADA))
    headers = signed(body)
    scene.send("interactivity", body, headers)
    until(lambda: scene.world.approval_state(approval) == "partially_approved")
    assert scene.channel.guard is not None
    scene.channel.guard._seen.clear()
    assert scene.send("interactivity", body, headers).status_code == 200
    scene.press(message, "rem_approve", BOB)
    until(lambda: scene.world.approval_state(approval) == "approved")
    assert scene.refusals(number) == []


def test_looking_again_at_what_expired_is_for_responders(scene: Scene) -> None:
    number, approval, message = scene.waiting(decide_s=1.0)
    over(scene, approval)
    scene.turn()
    before = len(scene.workspace.whispers(ADA))
    scene.press(message, "rem_refresh", ADA)
    assert "no responder" in scene.answered(ADA, before + 1)
    scene.press(message, "rem_refresh", RHEA)
    until(lambda: scene.world.incident(number).state == "investigating")


def test_editing_voids_what_waited_and_asks_for_a_judgement(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    scene.conclude(number)
    opened = len(scene.workspace.views)
    scene.press(message, "rem_edit")
    until(lambda: len(scene.workspace.views) > opened)
    view_id = list(scene.workspace.views)[-1]
    until(lambda: scene.workspace.views[view_id]["callback_id"] == "rem_edit_submit")
    names = [one["block_id"] for one in scene.workspace.views[view_id]["blocks"] if one["type"] == "input"]
    assert sorted(names) == ["p_columns", "p_method"]
    values = {"p_columns": {"v": {"value": "customer_id, placed_at"}}, "p_method": {"v": {"value": "btree"}}}
    assert scene.submit(view_id, ADA, values).json()["response_action"] == "update"
    until(lambda: scene.world.approval_state(approval) == "superseded")
    assert scene.world.steps(number, "propose")
    scene.turn()
    assert message.button("rem_approve") is None
    assert "buttons are dead" in json.dumps(message.blocks)


def test_an_edit_that_is_no_action_changes_nothing(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    opened = len(scene.workspace.views)
    scene.press(message, "rem_edit")
    until(lambda: len(scene.workspace.views) > opened)
    view_id = list(scene.workspace.views)[-1]
    until(lambda: scene.workspace.views[view_id]["callback_id"] == "rem_edit_submit")
    scene.submit(view_id, ADA, {"p_columns": {"v": {"value": ""}}, "p_table": {"v": {"value": "users"}}})
    until(lambda: "Not taken" in json.dumps(scene.workspace.views[view_id]))
    assert scene.world.approval_state(approval) == "pending"


def test_who_may_not_decide_gets_no_modal(scene: Scene) -> None:
    _, _, message = scene.waiting()
    opened = len(scene.workspace.views)
    for action in ("rem_deny", "rem_edit"):
        before = len(scene.workspace.whispers(RHEA))
        scene.press(message, action, RHEA)
        assert "not on the approver list" in scene.answered(RHEA, before + 1)
    assert len(scene.workspace.views) == opened


@pytest.mark.parametrize("value", ["a,b", ["a,b"], ["a", ""], "x" * 1001, "hid\u200bden", " blank "])
def test_a_parameter_that_one_line_cannot_say_is_not_offered(value: Any) -> None:
    assert _can_be_typed("columns", value) is (value == "a,b")
    assert not _can_be_typed("table", "orders")


def test_what_is_typed_becomes_what_the_parameter_was() -> None:
    old = {"columns": ["a"], "n": 3, "flag": True, "method": "btree"}
    sent = {"columns": "a, b", "n": "-4", "flag": "false", "method": "gin"}
    assert _typed(old, sent) == {"columns": ["a", "b"], "n": -4, "flag": False, "method": "gin"}
    for wrong in ({"n": "1e3"}, {"flag": "yes"}, {"table": "x"}, {"other": "x"}):
        with pytest.raises(NotOurs):
            _typed(old, wrong)


def test_the_test_button_says_who_somebody_is_here(scene: Scene) -> None:
    ts = Slack.at(BOT_TOKEN, scene.workspace.api_url).post(CHANNEL, self_test("n"))
    message = next(one for one in scene.workspace.messages if one.ts == ts)
    before = len(scene.workspace.whispers(ADA))
    scene.press(message, "rem_test")
    assert "you are ada@example.com, on the approver list" in scene.answered(ADA, before + 1)
