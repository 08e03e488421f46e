from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from connectors.slack import messages
from connectors.slack.messages import Field, Message, Origin, Stage
from lab.slack import blocks
from tests.connectors.slack.examples import ALLOWED, AT, HOSTILE, LONG, case, fix, hostile_case, hostile_fix, tokens

STAGES = tuple(Stage)


def every(given: Any, proposal: Any) -> list[Message]:
    rows = [(AT, given.title, given.heading)] * 20
    return [
        messages.approval(given, proposal),
        messages.incident(given),
        messages.escalation(given, proposal, ["<!subteam^S0OPS>", "<@U0ADA>"]),
        messages.timeline(given, rows),
        messages.postmortem(given, [(given.title, given.title)] * 9, [given.heading] * 20),
        messages.unshown(given),
        messages.self_test("n"),
    ]


def valid(message: Message) -> None:
    """By slack_sdk's own models, and by the documented limits they do not check."""
    for one in message.blocks:
        parsed = Block.parse(one)
        assert parsed is not None, one["type"]
        parsed.validate_json()
    assert blocks.of_message(list(message.blocks)) == ""
    assert len(json.dumps(message.blocks, ensure_ascii=False)) <= messages.MESSAGE_CHARS + 200


@pytest.mark.parametrize("stage", STAGES)
def test_every_state_is_a_valid_message(stage: Stage) -> None:
    for message in every(case(), fix(stage)):
        valid(message)
        assert message.text


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("text", [HOSTILE, LONG, "", "&" * 100_000, "\u202e" * 5000, "`" * 5000, "<" * 5000, "\x00"])
def test_every_state_is_valid_and_inert_whatever_the_labels_say(stage: Stage, text: str) -> None:
    for message in every(hostile_case(text), hostile_fix(stage, text)):
        valid(message)
        strange = [token for token in tokens(message) if not ALLOWED.fullmatch(token)]
        assert strange == []


def decides(message: Message) -> set[str]:
    elements = [part for one in message.blocks if one["type"] == "actions" for part in one["elements"]]
    return {one["action_id"] for one in elements} & {"rem_approve", "rem_deny", "rem_edit"}


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_waits_has_buttons_that_decide(stage: Stage) -> None:
    expected = {"rem_approve", "rem_deny", "rem_edit"} if stage in messages.WAITING else set()
    assert decides(messages.approval(case(), fix(stage))) == expected


def test_a_button_carries_names_and_never_the_command() -> None:
    for message in every(case(), fix()):
        for one in message.blocks:
            for part in one.get("elements", []):
                value = part.get("value", "")
                assert "CREATE" not in value
                assert part.get("action_id") != "rem_approve" or set(json.loads(value)) == {"a", "r", "h", "n"}


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "CREATE INDEX x ON y (" + "a, " * 2000 + "b)"},
        {"command": "SELECT 1 \u202e-- harmless"},
        {"command": "SELECT '```'"},
        {"rollback": "DROP INDEX " + "x" * 2000},
        {"not_here": "high risk is not approved in Slack"},
    ],
)
def test_what_is_not_seen_whole_is_not_approved_from_here(changes: dict[str, Any]) -> None:
    message = messages.approval(case(), fix(**changes))
    assert decides(message) == {"rem_deny", "rem_edit"}
    assert "Approve on <https://stanch.example/i/INC-1042#approval|the page>" in json.dumps(message.blocks)


def test_the_command_and_its_way_back_stand_there_to_the_letter() -> None:
    proposal = fix()
    shown = json.dumps(messages.approval(case(), proposal).blocks, ensure_ascii=False)
    for text in (proposal.command, proposal.rollback):
        assert f"```{json.dumps(text)[1:-1]}```" in shown


def test_approving_asks_once_more_and_names_revision_and_hash() -> None:
    message = messages.approval(case(), fix())
    (button,) = [part for one in message.blocks if one["type"] == "actions" for part in one["elements"]
                 if part["action_id"] == "rem_approve"]  # fmt: skip
    assert "Revision 3, hash 9f2c41d0b7e8" in button["confirm"]["text"]["text"]


def test_the_same_values_are_the_same_message_and_others_are_not() -> None:
    assert messages.approval(case(), fix()).rendered == messages.approval(case(), fix()).rendered
    changed = replace(fix(), nonce="another")
    assert messages.approval(case(), fix()).rendered != messages.approval(case(), changed).rendered


def test_text_from_outside_stands_in_plain_text_without_emoji() -> None:
    shown = messages.approval(case(heading=":rotating_light: *now*"), fix())
    found = [one["text"] for one in shown.blocks if one["type"] == "section" and "text" in one
             and ":rotating_light:" in one["text"]["text"]]  # fmt: skip
    assert [(one["type"], one["emoji"]) for one in found] == [("plain_text", False)]


@pytest.mark.parametrize(
    "view",
    [
        messages.deny_modal(Origin("v" * 2000, "C0OPS", "1700000000.000001")),
        messages.edit_modal(Origin("{}", "C0OPS", "1.1"), [Field(LONG[:50], LONG), Field("columns", "a,b")]),
        messages.loading_modal(),
        messages.told_modal(LONG),
    ],
)
def test_every_modal_is_valid(view: dict[str, Any]) -> None:
    View(**view).validate_json()
    assert blocks.of_view(view) == ""


def test_a_reason_is_the_choice_and_the_note() -> None:
    assert messages.words_of("not_now", "month end") == "Not now: month end"
    assert messages.words_of("not_now", "") == "Not now"
    assert messages.words_of("no such", "month end") == "month end"
