"""What `stanch doctor` says of Slack, and the message it sends there and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from lab.slack import workspace as slack
from lab.slack.workspace import Workspace
from service.configuration import SlackPeople
from service.integrations import NotWorking
from service.slack.doctor import look, send_test
from service.slack.enabled import SlackSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    made.start()
    yield made
    made.stop()


def settings(workspace: Workspace) -> SlackSettings:
    people = SlackPeople(team=slack.TEAM, people={"U0ADA": "ada@example.com"})
    return SlackSettings(slack.BOT_TOKEN, slack.SIGNING_SECRET, None, workspace.api_url, slack.CHANNEL, people)


def test_a_whole_setup_is_one_line(workspace: Workspace) -> None:
    assert look(settings(workspace)) == "stanch in local, in #ops, clicks by HTTP"


def test_what_is_wrong_is_said_with_what_to_do(workspace: Workspace) -> None:
    known = settings(workspace)
    with pytest.raises(NotWorking, match="belongs to workspace T0LOCAL"):
        look(replace(known, people=SlackPeople(team="T0OTHER")))
    with pytest.raises(NotWorking, match="channel_not_found"):
        look(replace(known, channel="C0ELSE"))
    workspace.scopes = slack.SCOPES.replace("files:write,", "")
    with pytest.raises(NotWorking, match="lacks files:write"):
        look(known)


def test_a_message_goes_there_and_a_signed_request_comes_back(workspace: Workspace) -> None:
    asked: list[httpx.Request] = []

    def own(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    said = send_test(settings(workspace), "https://stanch.example/", transport=httpx.MockTransport(own))
    assert "acknowledged in" in said
    assert str(asked[0].url) == "https://stanch.example/slack/interactivity"
    (message,) = workspace.messages
    assert message.edits == 1
    assert message.button("rem_test") is not None


def test_an_address_that_does_not_take_it_is_named(workspace: Workspace) -> None:
    with pytest.raises(NotWorking, match="answers 401"):
        send_test(
            settings(workspace),
            "https://stanch.example",
            transport=httpx.MockTransport(lambda _: httpx.Response(401)),
        )
