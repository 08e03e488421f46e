"""What stands in Slack follows the store: through outages, limits, deletions, and whatever comes out of labels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.events import ExecutionEnded, ExecutionStarted, VerificationSampled
from connectors.store.store import jsonb
from lab.slack.workspace import CHANNEL, SCOPES
from service.steps.approve import Ask, Declined, escalate, expire, take
from tests.service.incident_world import KEY, firing
from tests.service.slack.scene import ADA, BOB, GROUP, STRANGER, scene_on, until

if TYPE_CHECKING:
    from pathlib import Path

    from lab.slack.workspace import Posted
    from tests.connectors.store.database import Database
    from tests.service.slack.scene import Scene

pytestmark = pytest.mark.integration


def text_of(message: Any) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


def test_an_incident_has_one_message_and_a_thread_with_its_timeline(fresh_scene: Scene) -> None:
    number = fresh_scene.world.investigating()
    fresh_scene.turn()
    (root,) = fresh_scene.workspace.shown()
    assert "Looking for the cause" in text_of(root)
    thread = [one for one in fresh_scene.workspace.shown(thread=True) if one.thread_ts == root.ts]
    assert any("intake" in text_of(one) for one in thread)
    fresh_scene.turn()
    assert len(fresh_scene.workspace.shown()) == 1, f"INC-{number} was posted twice"


def test_a_turn_without_news_says_nothing(fresh_scene: Scene) -> None:
    fresh_scene.world.awaiting()
    fresh_scene.turn(10)
    calls = len(fresh_scene.workspace.calls)
    fresh_scene.turn(10)
    assert len(fresh_scene.workspace.calls) == calls


def test_a_proposal_goes_out_before_anything_else(fresh_scene: Scene) -> None:
    fresh_scene.world.investigating()
    number, _, _ = fresh_scene.world.awaiting()
    fresh_scene.channel.reconciler.turn()
    assert f"INC-{number}: approval needed" in fresh_scene.workspace.messages[0].text


def test_after_an_outage_the_message_says_what_the_store_says(scene: Scene) -> None:
    _, approval, message = scene.waiting()
    scene.workspace.broken["*"] = "drop"
    row = scene.world.one("approval", id=approval)
    assert row is not None
    asked = scene.world.api, scene.app.held.ports.configuration.rules, KEY, approval
    taken = take(*asked, Ask("approve", 1, row["digest"], "bob@example.com", "api", ""))
    assert not isinstance(taken, Declined), "a decision depends on Slack"
    scene.turn()
    assert message.button("rem_approve") is not None
    scene.workspace.broken.clear()
    scene.clock.now_s += 120
    scene.turn()
    assert message.button("rem_approve") is None
    assert f"<@{BOB}>" in text_of(message)


@pytest.mark.parametrize("how", ["http 503", "http 500", "internal_error", "fatal_error", "drop", "channel_not_found"])
def test_whatever_slack_answers_the_message_comes_in_the_end(scene: Scene, how: str) -> None:
    scene.workspace.broken["chat.postMessage"] = how
    _, approval, _ = scene.world.awaiting()
    scene.turn()
    scene.workspace.broken.clear()
    scene.clock.now_s += 120
    scene.turn(12)
    assert scene.proposal(approval).button("rem_approve") is not None


def test_a_rate_limit_is_waited_for(scene: Scene) -> None:
    scene.workspace.broken["chat.postMessage"] = "http 429"
    _, approval, _ = scene.world.awaiting()
    scene.channel.reconciler.turn()
    calls = len(scene.workspace.calls)
    wait_s = scene.channel.reconciler.turn()
    assert wait_s is not None
    assert wait_s > 1
    assert len(scene.workspace.calls) == calls, "something was sent while Slack said wait"
    scene.workspace.broken.clear()
    scene.clock.now_s += 60
    scene.turn(12)
    assert scene.proposal(approval).blocks


def test_never_more_than_a_message_a_second_in_the_channel(fresh_scene: Scene) -> None:
    fresh_scene.clock.step_s = 0.01
    for _ in range(4):
        fresh_scene.world.awaiting()
    for _ in range(60):
        fresh_scene.clock.now_s += 0.5
        fresh_scene.channel.reconciler.turn()
    refused = [call for call in fresh_scene.workspace.calls if call[2] == 429]
    posted = [call for call in fresh_scene.workspace.calls if call[1] == "chat.postMessage" and call[2] == 200]
    assert refused == []
    assert len(posted) >= 8


def test_a_message_somebody_deleted_is_posted_again_with_new_buttons(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    old = message.button("rem_approve")
    scene.workspace.delete(message)
    paused(scene, number)
    scene.turn(12)
    paused(scene, number, paused=False)
    again = scene.proposal(approval)
    new = again.button("rem_approve")
    assert again.ts != message.ts
    assert old is not None
    assert new is not None
    assert old["value"] != new["value"]


def paused(scene: Scene, number: int, *, paused: bool = True) -> None:
    """Shows on the proposal's message."""
    with scene.world.api.store.transaction() as tx:
        tx.run("set_control", paused=paused, reason=f"for INC-{number}", person="ada@example.com")
        tx.audit(number, "test", "Noted", {"note": "the switch"})


# --- What was posted when the process ended ----------------------------------------------------------------------


def about(scene: Scene, number: int) -> list[Posted]:
    return [one for one in scene.workspace.shown(thread=True) if f"INC-{number}" in one.text]


def looks(scene: Scene) -> int:
    return sum(1 for call in scene.workspace.calls if call[1] in {"conversations.history", "conversations.replies"})


def state_of(scene: Scene, approval: str) -> str:
    row = scene.world.one("approval", id=approval)
    assert row is not None
    return str(row["state"])


def forgotten(scene: Scene, number: int) -> None:
    """As a process leaves it that ended between Slack's answer and its note."""
    scene.world.database.run(
        "UPDATE stanch.slack_message SET ts = NULL, channel = NULL, rendered = NULL, stage = NULL, sent_at = NULL, "
        "tried_at = clock_timestamp() - interval '5 s' WHERE incident_id = %s",
        (number,),
    )
    scene.world.database.run("DELETE FROM stanch.slack_incident WHERE incident_id = %s", (number,))


def test_a_message_whose_answer_was_lost_is_found_again_and_its_button_counts(scene: Scene) -> None:
    scene.workspace.broken["chat.postMessage"] = "lost"
    number, approval, _ = scene.world.awaiting()
    scene.channel.reconciler.turn()
    scene.workspace.broken.clear()
    assert sum(1 for one in about(scene, number) if one.button("rem_approve")) == 1
    scene.clock.now_s += 120
    scene.turn(12)
    assert len({one.ts for one in about(scene, number) if one.thread_ts is None}) == 2, "the incident's and the fix's"
    assert sum(1 for one in about(scene, number) if one.button("rem_approve")) == 1
    scene.press(scene.proposal(approval), "rem_approve")
    until(lambda: state_of(scene, approval) == "approved")


def test_a_process_that_ended_before_its_note_leaves_no_second_message(scene: Scene) -> None:
    number, _, message = scene.waiting()
    scene.turn(12)
    before = [(one.ts, one.thread_ts) for one in about(scene, number)]
    files = len(scene.workspace.files)
    forgotten(scene, number)
    paused(scene, number)
    scene.clock.now_s += 120
    scene.turn(12)
    paused(scene, number, paused=False)
    assert [(one.ts, one.thread_ts) for one in about(scene, number)] == before
    assert len(scene.workspace.files) == files
    assert message.edits, "what it says now was not brought to it"
    assert scene.world.database.run(
        "SELECT count(*) FROM stanch.slack_message WHERE incident_id = %s AND (ts IS NULL OR tried_at IS NOT NULL)",
        (number,),
    ) == [(0,)]


def test_somebody_elses_message_with_our_mark_is_not_ours(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    scene.workspace.delete(message)
    theirs = replace(message, user=STRANGER)
    scene.workspace.messages.append(theirs)
    forgotten(scene, number)
    scene.turn(12)
    assert scene.proposal(approval).ts != theirs.ts
    assert theirs.edits == message.edits


def test_without_the_right_to_read_there_is_a_second_message_and_the_first_ones_button_is_dead(scene: Scene) -> None:
    number, approval, message = scene.waiting()
    scene.workspace.scopes = SCOPES.replace(",channels:history,groups:history", "")
    forgotten(scene, number)
    scene.turn(12)
    scene.workspace.scopes = SCOPES
    assert scene.proposal(approval).ts != message.ts
    assert scene.press(message, "rem_approve").status_code == 200
    until(lambda: scene.workspace.whispers(ADA) != [])
    assert state_of(scene, approval) == "pending"


def test_nobody_looks_where_nothing_was_lost(fresh_scene: Scene) -> None:
    fresh_scene.workspace.broken["chat.postMessage"] = "ratelimited"
    fresh_scene.world.awaiting()
    fresh_scene.turn(2)
    fresh_scene.workspace.broken["chat.postMessage"] = "not_in_channel"
    fresh_scene.clock.now_s += 120
    fresh_scene.turn(2)
    fresh_scene.workspace.broken.clear()
    fresh_scene.clock.now_s += 120
    fresh_scene.turn(12)
    assert fresh_scene.workspace.shown()
    assert looks(fresh_scene) == 0


def test_only_one_process_writes(scene: Scene, database: Database, tmp_path: Path) -> None:
    scene.turn()
    other = scene_on(database, tmp_path, world=scene.world)
    try:
        other.world.awaiting()
        other.turn()
        assert other.workspace.messages == []
    finally:
        other.close()
        scene.turn(12)


def test_blocks_that_slack_does_not_take_become_a_link_without_buttons(scene: Scene) -> None:
    scene.workspace.broken["chat.postMessage"] = "invalid_blocks"
    _, approval, _ = scene.world.awaiting()
    posted: list[str] = []

    def heal_after_two() -> None:
        scene.channel.reconciler.turn()
        posted.append("")
        if len(posted) == 2:
            scene.workspace.broken.clear()

    for _ in range(12):
        scene.clock.now_s += 70
        heal_after_two()
    assert scene.proposal(approval).blocks


@pytest.mark.parametrize("error", ["missing_scope", "file_not_found", "http 500", "drop"])
def test_a_picture_that_cannot_be_sent_holds_nothing_up(fresh_scene: Scene, error: str) -> None:
    number, _, _ = fresh_scene.world.awaiting()
    fresh_scene.world.database.run(
        "INSERT INTO stanch.postmortem (incident_id, body, markdown) VALUES (%s, %s::jsonb, '# x')",
        (number, json.dumps(POST)),
    )
    fresh_scene.workspace.broken["files.getUploadURLExternal"] = error
    fresh_scene.turn(8)
    other, approval, _ = fresh_scene.world.awaiting()
    fresh_scene.turn(20)
    assert fresh_scene.proposal(approval).blocks, f"INC-{other} waits for a file of INC-{number}"
    assert any("Postmortem of" in text_of(one) for one in fresh_scene.workspace.shown(thread=True))
    fresh_scene.workspace.broken.clear()
    fresh_scene.clock.now_s += 200
    fresh_scene.world.database.run("UPDATE stanch.slack_incident SET checked_at = checked_at - interval '2 min'")
    fresh_scene.turn(20)
    assert [file["content"] for file in fresh_scene.workspace.files] == [b"# x"]


POST: dict[str, Any] = {
    "cause": {"title": "Missing index", "probability": 0.9}, "seconds": {"detect": 3.0, "restore": None},
    "outcome": "recovered", "executions": [{"phase": "run", "state": "finished", "detail": "index is valid"}],
    "verification": "p99 4.2 s to 0.24 s", "self_critique": ["Nothing went less well."], "written_at": "x",
}  # fmt: skip


def test_a_root_that_was_deleted_is_posted_again_for_its_thread(fresh_scene: Scene) -> None:
    number = fresh_scene.world.investigating()
    fresh_scene.turn()
    (root,) = fresh_scene.workspace.shown()
    fresh_scene.workspace.messages.clear()
    with fresh_scene.world.api.store.transaction() as tx:
        for index in range(30):
            tx.audit(number, "test", "Noted", {"note": f"line {index}"})
    fresh_scene.world.database.run("UPDATE stanch.slack_message SET sent_at = sent_at - interval '9 s'")
    fresh_scene.turn(20)
    (again,) = fresh_scene.workspace.shown()
    assert again.ts != root.ts


def test_nobody_deciding_is_said_in_the_thread_and_to_the_channel(fresh_database: Database, tmp_path: Path) -> None:
    made = scene_on(fresh_database, tmp_path, slack={"team": "T0LOCAL", "people": {ADA: "ada@example.com"},
                                               "usergroup": GROUP},
                    policy={"escalate_after_s": 0.001})  # fmt: skip
    made.workspace.groups[GROUP] = [ADA]
    try:
        _, approval, message = made.waiting()
        assert escalate(made.world.api, made.app.held.ports.configuration.rules) >= 1
        made.turn(12)
        (told,) = [one for one in made.workspace.shown(thread=True) if one.thread_ts == message.ts]
        assert told.broadcast
        assert f"<!subteam^{GROUP}>" in text_of(told)
        assert f"<@{ADA}>" in text_of(told)
        made.press(message, "rem_approve")
        until(lambda: made.world.approval_state(approval) == "approved")
        made.turn(12)
        assert "no longer waits" in text_of(told)
    finally:
        made.close()


def test_an_approver_has_to_be_in_the_user_group_as_well(fresh_database: Database, tmp_path: Path) -> None:
    made = scene_on(fresh_database, tmp_path, slack={"team": "T0LOCAL", "people": {ADA: "ada@example.com"},
                                               "usergroup": GROUP})  # fmt: skip
    try:
        _, approval, message = made.waiting()
        made.press(message, "rem_approve")
        assert "does not say who you are" in made.answered(ADA, 1)
        made.workspace.groups[GROUP] = [BOB]
        made.press(message, "rem_approve")
        assert "not in the user group" in made.answered(ADA, 2)
        assert made.world.approval_state(approval) == "pending"
        made.workspace.groups[GROUP] = [ADA]
        made.press(message, "rem_approve")
        until(lambda: made.world.approval_state(approval) == "approved")
    finally:
        made.close()


# --- The states ------------------------------------------------------------------------------------------------------


def approved(scene: Scene) -> tuple[int, str, Any, Any]:
    number, approval, message = scene.waiting()
    scene.press(message, "rem_approve")
    until(lambda: scene.world.approval_state(approval) == "approved")
    ((run, *_),) = scene.world.database.run("SELECT id FROM stanch.execution WHERE approval_id = %s", (approval,))
    scene.turn()
    assert "starting" in text_of(message)
    return number, approval, message, run


def move(scene: Scene, run: Any, state: str, **values: Any) -> None:
    with scene.world.executor_store.transaction() as tx:
        row = tx.one("execution", id=run)
        assert row is not None
        ended = state in {"finished", "failed", "rolled_back"}
        result = jsonb(values) if values else None
        assert tx.one("move_execution", id=run, version=row["version"], state=state, result=result, ended=ended)


def executed(scene: Scene, number: int, event: Any) -> None:
    with scene.world.executor_store.transaction() as tx:
        incident = tx.incident(number, lock=True)
        assert incident is not None
        scene.world.executor({}).apply(tx, incident, event)


def test_progress_is_shown_while_it_runs_and_no_more_often_than_every_five_seconds(scene: Scene) -> None:
    number, _, message, run = approved(scene)
    move(scene, run, "started")
    executed(scene, number, ExecutionStarted("run", scene.world.incident(number).opened_at))
    scene.turn()
    edits = message.edits
    for percent in (10.0, 20.0, 30.0):
        progress = {"phase": "building index: scanning table", "percent": percent, "done": int(percent), "total": 100,
                    "unit": "blocks"}  # fmt: skip
        with scene.world.executor_store.transaction() as tx:
            tx.run("save_progress", id=run, progress=jsonb(progress))
            tx.audit(number, "executor", "Progress", progress)
        scene.turn()
    assert message.edits == edits, "a change within five seconds was sent"
    scene.world.database.run("UPDATE stanch.slack_message SET sent_at = sent_at - interval '6 s'")
    scene.turn()
    assert message.edits == edits + 1
    assert "30 %" in text_of(message)
    assert "███" in text_of(message)


def test_a_verified_fix_says_so_and_its_postmortem_follows(scene: Scene) -> None:
    number, _, message, run = approved(scene)
    move(scene, run, "started")
    now = scene.world.incident(number).opened_at
    executed(scene, number, ExecutionStarted("run", now))
    move(scene, run, "finished", detail="index is valid")
    executed(scene, number, ExecutionEnded("run", "finished", "index is valid", now))
    scene.turn()
    assert "Checking" in text_of(message)
    scene.world.apply(scene.world.agent, number, VerificationSampled("recovered", "p99 4.2 s to 0.24 s", now, True))
    scene.turn()
    assert "Verified" in text_of(message)
    assert message.button("rem_pm") is not None


def test_a_failed_run_says_why_and_that_nothing_runs(scene: Scene) -> None:
    number, _, message, run = approved(scene)
    move(scene, run, "started")
    now = scene.world.incident(number).opened_at
    executed(scene, number, ExecutionStarted("run", now))
    move(scene, run, "failed", detail="canceling statement due to lock timeout")
    executed(scene, number, ExecutionEnded("run", "failed", "canceling statement due to lock timeout", now))
    scene.turn()
    assert "lock timeout" in text_of(message)
    assert "No retry without a new approval" in text_of(message)


def test_what_nobody_decided_says_that_nothing_ran(scene: Scene) -> None:
    _, approval, message = scene.waiting(decide_s=0.5)
    until(lambda: (expire(scene.world.api), scene.world.approval_state(approval))[1] == "expired")
    scene.turn()
    assert "without a decision. Nothing ran." in text_of(message)


# --- Hostile ---------------------------------------------------------------------------------------------------------

HOSTILE = (
    "<!channel> <!here> <@U0ADA> <https://evil.example|Approve> *bold* ```\u202egnp.exe\u200b &lt; ; DROP TABLE x;-- "
    + "A" * 100_000
)


def test_labels_of_100_kb_full_of_tricks_neither_mention_nor_link_nor_break_anything(fresh_scene: Scene) -> None:
    alert = firing("f" * 16, service=HOSTILE, severity=HOSTILE, team=HOSTILE)
    fresh_scene.world.notify(alert, key="hostile")
    (number,) = fresh_scene.world.incidents_of("hostile")
    fresh_scene.turn()
    root = next(one for one in fresh_scene.workspace.shown() if f"INC-{number}" in one.text)
    for said in (root.text, text_of(root)):
        assert "<!" not in said.replace("<!date^", "")
        assert "<@" not in said
        assert "<https://evil" not in said
        assert "\u202e" not in said
        assert "\u200b" not in said


def test_a_command_too_long_to_show_has_no_approve_button_and_says_where(scene: Scene) -> None:
    command = "CREATE INDEX CONCURRENTLY x ON y (" + ", ".join(f"column_{n}" for n in range(400)) + ")"
    number, approval, _ = scene.world.awaiting()
    scene.world.database.run("UPDATE stanch.proposal SET command = %s WHERE incident_id = %s", (command, number))
    scene.turn()
    message = scene.proposal(approval)
    assert message.button("rem_approve") is None
    assert message.button("rem_deny") is not None
    assert "Approve on <" in text_of(message)


def test_a_command_that_hides_something_has_no_approve_button(scene: Scene) -> None:
    number, approval, _ = scene.world.awaiting()
    scene.world.database.run(
        "UPDATE stanch.proposal SET command = command || %s WHERE incident_id = %s", (" \u202e-- harmless", number)
    )
    scene.turn()
    assert scene.proposal(approval).button("rem_approve") is None


def test_high_risk_is_not_approved_in_slack_neither_by_button_nor_by_a_forged_one(scene: Scene) -> None:
    risk = jsonb({"locks": [], "risk": "high", "findings": []})
    _, approval, _ = scene.world.awaiting(verdict=risk)
    scene.turn()
    message = scene.proposal(approval)
    assert message.button("rem_approve") is None
    deny = message.button("rem_deny")
    assert deny is not None
    before = len(scene.workspace.whispers(ADA))
    scene.press(message, "rem_approve", value=deny["value"])
    assert "high risk is not approved by slack" in scene.answered(ADA, before + 1)
    assert scene.world.approval_state(approval) == "pending"


def test_everything_goes_to_the_configured_channel(scene: Scene) -> None:
    assert {one.channel for one in scene.workspace.shown(thread=True)} == {CHANNEL}
