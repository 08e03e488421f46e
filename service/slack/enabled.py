"""Whether Slack is set up, and whether it is set up whole. Imports nothing of Slack's: most installations have none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.settings import UnusableSettings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from service.configuration import Configuration, SlackPeople
    from service.settings import Settings

WHAT_TO_SET = (
    "Slack is not set up for clicks over HTTP: set STANCH_SLACK_BOT_TOKEN, STANCH_SLACK_CHANNEL and "
    "STANCH_SLACK_SIGNING_SECRET, and slack.team and slack.people in stanch.yaml"
)
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}")


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """signing_secret None: clicks come by Socket Mode only; app_token None: by HTTP only."""

    bot_token: str = field(repr=False)
    signing_secret: str | None = field(repr=False)
    app_token: str | None = field(repr=False)
    api_url: str
    channel: str
    people: SlackPeople


def slack(settings: Settings, configuration: Configuration) -> SlackSettings | None:
    """None: Slack is not set up at all. Raises UnusableSettings that names what is missing."""
    bot, signing, app = (
        _value(one) for one in (settings.slack_bot_token, settings.slack_signing_secret, settings.slack_app_token)
    )
    if bot is None:
        for name, value in (("SLACK_SIGNING_SECRET", signing), ("SLACK_APP_TOKEN", app)):
            if value is not None:
                raise UnusableSettings(f"STANCH_{name} is set, but STANCH_SLACK_BOT_TOKEN is not")
        return None
    if not bot.startswith("xoxb-"):
        raise UnusableSettings("STANCH_SLACK_BOT_TOKEN is no bot token: those start with xoxb-")
    if signing is None and app is None:
        raise UnusableSettings(
            "STANCH_SLACK_SIGNING_SECRET is not set: without it (or STANCH_SLACK_APP_TOKEN for Socket Mode) no click "
            "can be believed"
        )
    if app is not None and not app.startswith("xapp-"):
        raise UnusableSettings("STANCH_SLACK_APP_TOKEN is no app-level token: those start with xapp-")
    if not _CHANNEL.fullmatch(settings.slack_channel):
        raise UnusableSettings("STANCH_SLACK_CHANNEL is not set to a channel's id (C0123ABCD, not its name)")
    if configuration.slack is None:
        raise UnusableSettings("stanch.yaml has no section slack: whose clicks count is written there (team, people)")
    _check_address(settings.slack_api_url)
    return SlackSettings(bot, signing, app, settings.slack_api_url, settings.slack_channel, configuration.slack)


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
        raise UnusableSettings("STANCH_SLACK_API_URL must be https, or http on this machine")


def _value(secret: SecretStr | None) -> str | None:
    return (secret.get_secret_value() or None) if secret is not None else None
