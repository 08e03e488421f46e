"""Slack for `stanch doctor` and the watchdog: the token, its scopes, the channel; and a message there and back."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from connectors.slack import messages
from connectors.slack.client import CHANNEL_SCOPES, GROUP_SCOPE, NEEDED_SCOPES, Refused, Slack
from connectors.slack.guard import signature
from connectors.unreachable import Unreachable
from service.integrations import NotWorking

if TYPE_CHECKING:
    from service.slack.enabled import SlackSettings

PATH = "/slack/interactivity"
SLACKS_PATIENCE_S = 3.0


def look(found: SlackSettings) -> str:
    """One line. Raises Unreachable, and NotWorking with what to do."""
    slack = Slack.at(found.bot_token, found.api_url)
    me, scopes = slack.who_am_i()
    if me["team_id"] != found.people.team:
        raise NotWorking(
            f"the token belongs to workspace {me['team_id']}, and stanch.yaml says slack.team: {found.people.team}"
        )
    needed = (*NEEDED_SCOPES, *((GROUP_SCOPE,) if found.people.usergroup else ()))
    missing = [one for one in needed if one not in scopes]
    if missing:
        raise NotWorking(
            f"the bot token lacks {', '.join(missing)}: add it in the app's OAuth page and install it again"
        )
    if found.people.usergroup:
        slack.members(found.people.usergroup)
    way = " and ".join(
        name for name, there in (("HTTP", found.signing_secret), ("Socket Mode", found.app_token)) if there
    )
    return f"{me['user']} in {me['team']}, {_channel(slack, found.channel)}, clicks by {way}"


def _channel(slack: Slack, channel: str) -> str:
    try:
        seen = slack.channel(channel)
    except Refused as error:
        if error.error == "missing_scope":
            return f"whether it is in {channel} is not visible without {' and '.join(CHANNEL_SCOPES)}"
        raise NotWorking(f"the channel {channel}: {error.error}; is the app in it? (/invite it there)") from error
    if seen.get("is_archived"):
        raise NotWorking(f"the channel {channel} is archived")
    if not seen.get("is_member"):
        raise NotWorking(f"the app is not in the channel {channel}: open it and write /invite with the app's name")
    return f"in #{seen.get('name', channel)}"


def send_test(found: SlackSettings, public_url: str, *, transport: httpx.BaseTransport | None = None) -> str:
    """Posts a message with a button, changes it, and sends our own address a signed request as Slack would. Raises
    Unreachable, NotWorking.
    """
    slack = Slack.at(found.bot_token, found.api_url)
    message = messages.self_test(secrets.token_urlsafe(9))
    ts = slack.post(found.channel, message)
    slack.update(found.channel, ts, message)
    said = f"posted to {found.channel} and changed it"
    if found.signing_secret is None:
        return f"{said}; press its button to see whether clicks come back over the socket"
    taken_s = _own_address(found.signing_secret, public_url.rstrip("/") + PATH, found.people.team, transport)
    return f"{said}; {PATH} acknowledged in {taken_s * 1000:.0f} ms; press the button to see whether Slack reaches it"


def _own_address(secret: str, url: str, team: str, transport: httpx.BaseTransport | None) -> float:
    """A button that is only a link: acknowledged, and nothing else happens."""
    payload = {
        "type": "block_actions", "user": {"id": "U0DOCTOR", "team_id": team}, "team": {"id": team},
        "actions": [{"type": "button", "action_id": "rem_open", "block_id": "test", "value": "{}"}],
        "container": {"type": "message"}, "trigger_id": "test",
    }  # fmt: skip
    body, timestamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    headers = {
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature(secret, timestamp, body),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    begin = time.perf_counter()
    try:
        with httpx.Client(timeout=10.0, trust_env=False, transport=transport) as client:
            answer = client.post(url, content=body, headers=headers)
    except httpx.HTTPError as error:
        raise Unreachable("stanch", f"{url} does not answer: {type(error).__name__}") from error
    taken_s = time.perf_counter() - begin
    if answer.status_code != httpx.codes.OK:
        raise NotWorking(
            f"{url} answers {answer.status_code}: is it this installation's, with the same signing secret?"
        )
    if taken_s > SLACKS_PATIENCE_S:
        raise NotWorking(f"{url} took {taken_s:.1f} s; Slack waits {SLACKS_PATIENCE_S:.0f} s")
    return taken_s
