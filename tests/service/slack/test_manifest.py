"""The manifest in docs/integrations/slack.md against what the code needs: addresses, the command, scopes, settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.slack.client import CHANNEL_SCOPES, GROUP_SCOPE, HISTORY_SCOPES, NEEDED_SCOPES
from service.configuration import Configuration
from service.notices import EVENTS
from service.routes.slack import router
from service.settings import PREFIX, SECRETS, Settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/integrations/slack.md").read_text(encoding="utf-8")
NOTICES = (ROOT / "docs/integrations/notices.md").read_text(encoding="utf-8")


def documents(page: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


@pytest.fixture
def manifest() -> dict[str, Any]:
    return next(one for one in documents(PAGE) if "oauth_config" in one)


def test_the_scopes_are_those_the_code_needs_and_no_others(manifest: dict[str, Any]) -> None:
    assert sorted(manifest["oauth_config"]["scopes"]["bot"]) == sorted(
        (*NEEDED_SCOPES, GROUP_SCOPE, *CHANNEL_SCOPES, *HISTORY_SCOPES)
    )


def test_the_addresses_are_those_that_are_served(manifest: dict[str, Any]) -> None:
    paths = {getattr(route, "path", "") for route in router.routes}
    (command,) = manifest["features"]["slash_commands"]
    interactivity = manifest["settings"]["interactivity"]
    assert {command["url"].removeprefix("https://stanch.example.com"),
            interactivity["request_url"].removeprefix("https://stanch.example.com")} == paths  # fmt: skip
    assert interactivity["is_enabled"]


def test_the_command_is_the_one_that_is_answered(manifest: dict[str, Any]) -> None:
    (command,) = manifest["features"]["slash_commands"]
    source = (ROOT / "service/slack/bolt.py").read_text(encoding="utf-8")
    assert f'self.app.command("{command["command"]}")' in source
    for verb in re.findall(r"[a-z]+", command["usage_hint"].replace("<reason>", "").replace("INC-1", "")):
        assert f'case "{verb}"' in (ROOT / "service/slack/clicks.py").read_text(encoding="utf-8")


def test_every_setting_on_the_pages_exists(manifest: dict[str, Any]) -> None:
    assert manifest
    named = {name.removeprefix(PREFIX).lower() for name in re.findall(r"STANCH_[A-Z_]+[A-Z]", PAGE + NOTICES)}
    known = set(Settings.model_fields)
    assert {name.removesuffix("_file") for name in named} <= known
    assert {name.removesuffix("_file") for name in named if name.endswith("_file")} <= SECRETS


def test_the_sections_of_stanch_yaml_on_the_pages_are_read() -> None:
    sections = [one for one in documents(PAGE) + documents(NOTICES) if "oauth_config" not in one]
    assert len(sections) == 2
    for one in sections:
        assert Configuration.model_validate(one).rules is not None


def test_every_event_is_on_the_page() -> None:
    assert set(re.findall(r"^\| `(incident\.[a-z_]+)` \|", NOTICES, re.MULTILINE)) == set(EVENTS)
