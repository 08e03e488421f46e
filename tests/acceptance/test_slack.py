"""The same incident, decided by a click in a workspace that plays Slack by its documented wire facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.scene import eventually

if TYPE_CHECKING:
    from lab.slack.workspace import Posted
    from tests.acceptance.scene import Scene

pytestmark = pytest.mark.acceptance


def test_a_fix_approved_by_a_click_in_slack_is_run_and_its_message_tells_the_end(scene: Scene) -> None:
    key = scene.break_the_shop()
    proposed = scene.until_proposed(key)

    message = eventually(
        "the proposal is in Slack", lambda: _with_button(scene, proposed["proposal"]["approval"]["id"])
    )
    assert proposed["proposal"]["command"] in str(message.blocks)
    scene.click(message, "rem_approve")
    eventually("the buttons are gone", lambda: message.button("rem_approve") is None)
    ended = scene.until_told(key, "closed")

    assert ended["outcome"] == "recovered"
    [decision] = ended["proposal"]["approval"]["decisions"]
    assert (decision["decision"], decision["channel"]) == ("approve", "slack")
    [built] = scene.builds()
    assert built.text == proposed["proposal"]["command"]
    eventually("the postmortem is in the thread", lambda: [one for one in _thread(scene) if "ostmortem" in one.text])
    assert all(status < 400 for _, _, status, _ in scene.workspace.calls if status != 429)


def _with_button(scene: Scene, approval: str) -> Posted | None:
    for message in scene.workspace.shown():
        button = message.button("rem_approve")
        if button is not None and approval in button["value"]:
            return message
    return None


def _thread(scene: Scene) -> list[Posted]:
    return [one for one in scene.workspace.shown(thread=True) if one.thread_ts is not None]
