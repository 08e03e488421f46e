"""The two addresses, the command and the socket: what comes in is turned away, or acknowledged before anything slow."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pydantic import SecretStr

from lab.slack import workspace as slack
from lab.slack.workspace import command_form, form, signed
from service.configuration import read
from service.settings import Settings, UnusableSettings
from service.slack import enabled
from service.slack.bolt import run_socket
from tests.service.app_world import app_on
from tests.service.slack.scene import ADA, BOB, RHEA, STRANGER, VIC, configuration, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.store.database import Database
    from tests.service.slack.scene import Scene

pytestmark = pytest.mark.integration

BODY = form({"type": "block_actions"})


@pytest.mark.parametrize("path", ["interactivity", "commands"])
@pytest.mark.parametrize(
    "changes",
    [
        {"X-Slack-Request-Timestamp": "abc"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": "v0=\u00e4".encode()},
        {"X-Slack-Signature": b"\xff\xfe"},
        {"X-Slack-Request-Timestamp": str(int(time.time()) - 400)},
    ],
)
def test_what_slack_did_not_sign_is_401_and_never_500(scene: Scene, path: str, changes: dict[str, Any]) -> None:
    headers: dict[str, Any] = {**signed(BODY), **changes}
    assert scene.app.ask("POST", f"/slack/{path}", content=BODY, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"ssl_check=1", b"", b"payload=", b"\xff\xfe", b'{"type":"url_verification","challenge":"x"}', b"payload=%ff"],
)
def test_unsigned_bodies_of_every_kind_are_401(scene: Scene, body: bytes) -> None:
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert scene.app.ask("POST", "/slack/interactivity", content=body, headers=form_type).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"", b"payload=", b"payload=%7B", b"payload=null", b"payload=5", b"payload=%5B%5D", b"x=1", b"payload=%22a%22",
        b"payload=" + b"%5B" * 50_000,
        form({}), form({"type": 5}), form({"type": "block_actions"}), form({"type": "block_actions", "actions": []}),
        form({"type": "block_actions", "actions": [{"action_id": "rem_approve"}], "user": 5}),
        form({"type": "block_actions", "actions": [{"action_id": "rem_approve"}], "user": {"id": "U0ADA"}}),
        form({"type": "view_submission", "view": {"callback_id": "rem_deny_submit"}, "user": {"id": "U0ADA"}}),
        form({"type": "view_submission", "view": {"callback_id": "rem_edit_submit", "state": 7}, "user": {"id": "U"}}),
        command_form({"command": "/stanch"}), command_form({"command": "/other", "user_id": "U0ADA"}),
    ],
)  # fmt: skip
def test_signed_and_still_not_what_slack_sends_is_no_500(scene: Scene, body: bytes) -> None:
    for path in ("interactivity", "commands"):
        assert scene.send(path, body).status_code < 500


def test_what_is_turned_away_is_in_the_audit_with_its_reason(scene: Scene) -> None:
    told = "SELECT data ->> 'note' FROM stanch.audit WHERE actor = 'hooks' AND data ->> 'hook' = '/slack/interactivity'"
    body = form({"type": "block_actions", "actions": [], "trigger_id": "audited"})
    headers = signed(body)
    scene.send("interactivity", body, headers)
    assert scene.send("interactivity", body, headers).status_code == 401
    scene.send("interactivity", body, {**headers, "X-Slack-Signature": "v0=" + "0" * 64})
    scene.app.held.doors.refusals.flush(scene.app.held.ports.store)
    assert {"replayed", "wrong signature"} <= {note for (note,) in scene.world.database.run(told)}


def test_a_body_too_large_is_413(scene: Scene) -> None:
    assert scene.send("interactivity", b"x" * (1024 * 1024 + 1)).status_code == 413


def test_two_signatures_are_one_too_many(scene: Scene) -> None:
    good = list(signed(BODY).items())
    twice = [*good, ("X-Slack-Signature", "v0=" + "0" * 64)]
    assert scene.app.ask("POST", "/slack/interactivity", content=BODY, headers=twice).status_code == 401


def test_without_slack_the_addresses_say_what_to_set(database: Database, tmp_path: Path) -> None:
    app = app_on(database, tmp_path)
    try:
        for path in ("interactivity", "commands"):
            answer = app.ask("POST", f"/slack/{path}", content=BODY, headers=signed(BODY))
            assert answer.status_code == 404
            assert "STANCH_SLACK_SIGNING_SECRET" in answer.json()["detail"]
    finally:
        app.close()


# --- Settings --------------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "slack_bot_token": SecretStr("xoxb-1"),
    "slack_signing_secret": SecretStr("s"),
    "slack_channel": "C0OPS",
}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"slack_bot_token": None}, "STANCH_SLACK_BOT_TOKEN"),
        ({"slack_bot_token": SecretStr("xoxp-1")}, "STANCH_SLACK_BOT_TOKEN"),
        ({"slack_signing_secret": None}, "STANCH_SLACK_SIGNING_SECRET"),
        ({"slack_app_token": SecretStr("xoxb-1")}, "STANCH_SLACK_APP_TOKEN"),
        ({"slack_channel": ""}, "STANCH_SLACK_CHANNEL"),
        ({"slack_channel": "#ops"}, "STANCH_SLACK_CHANNEL"),
        ({"slack_api_url": "http://slack.example/api/"}, "STANCH_SLACK_API_URL"),
        ({"slack_api_url": "nonsense"}, "STANCH_SLACK_API_URL"),
    ],
)
def test_half_a_setup_is_refused_and_what_is_missing_is_named(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnusableSettings, match=named) as raised:
        enabled.slack(Settings(**{**WHOLE, **changes}), read(configuration(tmp_path)))
    assert "xoxb-1" not in str(raised.value)


def test_nothing_set_is_no_slack_and_whole_is_slack(tmp_path: Path) -> None:
    assert enabled.slack(Settings(), read(configuration(tmp_path))) is None
    found = enabled.slack(Settings(**WHOLE), read(configuration(tmp_path)))
    assert found is not None
    assert "xoxb-1" not in repr(found)


def test_without_people_in_stanch_yaml_it_does_not_start() -> None:
    with pytest.raises(UnusableSettings, match="section slack"):
        enabled.slack(Settings(**WHOLE), read(None))


@pytest.mark.parametrize(
    "section",
    [{"people": {}}, {"team": "x"}, {"team": "T1", "people": {"ada": "x"}}, {"team": "T1", "usergroup": "ops"},
     {"team": "T1", "persons": {}}],
)  # fmt: skip
def test_a_section_that_is_not_understood_is_refused(tmp_path: Path, section: dict[str, Any]) -> None:
    with pytest.raises(UnusableSettings, match="slack"):
        read(configuration(tmp_path, slack=section))


# --- Acknowledged first ----------------------------------------------------------------------------------------------


def test_the_acknowledgement_comes_before_the_store_answers(scene: Scene) -> None:
    """The store holds still until the acknowledgement is in our hands: it cannot have waited for the store."""
    _, approval, message = scene.waiting()
    with psycopg.connect(scene.world.database.dsn()) as held:
        held.execute(
            "LOCK TABLE stanch.approval, stanch.channel_request, stanch.slack_message IN ACCESS EXCLUSIVE MODE"
        )
        assert scene.press(message, "rem_approve").status_code == 200
        assert scene.command_only("status").status_code == 200
        held.rollback()
    until(lambda: scene.world.approval_state(approval) == "approved")


def test_a_modal_opens_while_the_store_holds_still(scene: Scene) -> None:
    _, _, message = scene.waiting()
    opened = len(scene.workspace.views)
    with psycopg.connect(scene.world.database.dsn()) as held:
        held.execute("LOCK TABLE stanch.approval, stanch.slack_message IN ACCESS EXCLUSIVE MODE")
        for _ in range(12):
            scene.press(message, "rem_approve", BOB)
        scene.press(message, "rem_deny")
        until(lambda: len(scene.workspace.views) > opened)
        held.rollback()


def test_a_store_that_comes_back_gets_the_decision(fresh_scene: Scene) -> None:
    _, approval, message = fresh_scene.waiting()
    back = threading.Event()

    def press() -> None:
        with fresh_scene.world.database.away():
            assert fresh_scene.press(message, "rem_approve").status_code == 200
        back.set()

    threading.Thread(target=press).start()
    back.wait(30)
    until(lambda: fresh_scene.world.approval_state(approval) == "approved")


# --- /stanch ---------------------------------------------------------------------------------------------------------


def test_status_and_incidents_are_told_to_the_person_alone(scene: Scene) -> None:
    number, _, _ = scene.waiting()
    assert "awaiting approval" in scene.command("status", VIC)
    assert f"|INC-{number}>" in scene.command("incidents", VIC)
    assert "/stanch pause" in scene.command("help", VIC)
    assert "/stanch pause" in scene.command("no such thing", VIC)


def test_pausing_is_for_responders_and_resuming_for_approvers(scene: Scene) -> None:
    def is_paused() -> bool:
        row = scene.world.one("control")
        return row is not None and row["paused"]

    assert "neither responder nor approver" in scene.command("pause because", VIC)
    assert not is_paused()
    assert "Say why" in scene.command("pause", RHEA)
    assert "Paused" in scene.command("pause fail-over <!channel> under way", RHEA)
    assert is_paused()
    assert "<!channel>" not in scene.command("status", VIC)
    assert "no approver" in scene.command("resume", RHEA)
    assert is_paused()
    assert "Resumed" in scene.command("resume", ADA)
    assert not is_paused()
    assert scene.world.audit(None).count("Paused") == 1


def test_an_acknowledgement_is_in_the_timeline(scene: Scene) -> None:
    number, _, _ = scene.waiting()
    assert "rhea@example.com is on it" in scene.command(f"ack INC-{number}", RHEA)
    assert "Acknowledged" in scene.world.audit(number)
    assert "no INC-999999" in scene.command("ack 999999", RHEA)
    assert "Say which" in scene.command("ack everything", RHEA)
    assert "neither" in scene.command(f"ack INC-{number}", VIC)


def test_strangers_guests_and_other_workspaces_command_nothing(scene: Scene) -> None:
    before = len(scene.refusals(None))
    assert "Refused" in scene.command("status", scene.workspace.add(STRANGER))
    assert "another workspace" in scene.command("resume", ADA, team="T0OTHER")
    scene.workspace.add(RHEA, is_restricted=True)
    assert "guest" in scene.command("pause now", RHEA)
    scene.workspace.add(RHEA)
    assert len(scene.refusals(None)) == before + 3


# --- Socket Mode -----------------------------------------------------------------------------------------------------


def test_a_click_over_the_socket_goes_the_same_way(scene: Scene) -> None:
    _, approval, message = scene.waiting(needed=2)

    async def with_socket() -> None:
        task = asyncio.create_task(run_socket(scene.channel.bolt, slack.APP_TOKEN))
        await asyncio.to_thread(until, lambda: len(scene.workspace.sockets) > 0)
        payload = scene.workspace.press(message, "rem_approve", ADA)
        number = await asyncio.to_thread(scene.workspace.send, "interactive", payload)
        await asyncio.to_thread(
            until, lambda: any(one["envelope_id"] == number for one in scene.workspace.socket_answers)
        )
        await asyncio.to_thread(until, lambda: scene.world.approval_state(approval) == "partially_approved")
        await asyncio.to_thread(scene.workspace.send, "interactive", payload, number)
        second = scene.workspace.press(message, "rem_approve", BOB)
        await asyncio.to_thread(scene.workspace.send, "interactive", second)
        await asyncio.to_thread(until, lambda: scene.world.approval_state(approval) == "approved")
        command = scene.workspace.command("status", VIC)
        before = len(scene.workspace.whispers(VIC))
        await asyncio.to_thread(scene.workspace.send, "slash_commands", command)
        await asyncio.to_thread(until, lambda: len(scene.workspace.whispers(VIC)) > before)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(with_socket())
    assert json.dumps(scene.workspace.socket_answers).count("envelope_id") >= 4
