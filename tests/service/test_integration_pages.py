"""docs/integrations against the code: whatever a newcomer copies from these pages is understood."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from connectors import changes, generic
from connectors.notify import INSTALL_APPRISE
from service.cli import group
from service.configuration import Configuration
from service.routes.webhooks import router
from service.settings import PREFIX, SECRETS, Settings

FOLDER = Path(__file__).resolve().parents[2] / "docs/integrations"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
TARGETS: dict[str, Any] = {"targets": {"shop": {}}}
"""What the pages call the reader's own target."""
OURS = set(Configuration.model_fields)
SERVED = {getattr(route, "path", "").replace("{source}", "nagios") for route in router.routes} | {
    "/slack/interactivity", "/slack/commands",
}  # fmt: skip


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"(?m)^( *)```{language}\n((?s:.*?))^ *```", PAGES[page])
    return [textwrap.dedent(text) for _, text in found]


def sections(page: str) -> list[dict[str, Any]]:
    """The parts of stanch.yaml on a page; what is another program's has other names."""
    found = [yaml.safe_load(one) for one in blocks(page, "yaml")]
    return [one for one in found if isinstance(one, dict) and set(one) <= OURS]


def curls(page: str) -> list[list[str]]:
    return [shlex.split(one) for one in blocks(page, "sh") if one.lstrip().startswith("curl ")]


def commands() -> list[tuple[str, str]]:
    written = re.compile(r"(?m)(?:^ *|`)stanch ([a-z][^`\n]*)")
    return [(page, one.split("  #")[0].strip()) for page, text in PAGES.items() for one in written.findall(text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_on_a_page_exists(page: str) -> None:
    named = {one.removeprefix(PREFIX).lower() for one in re.findall(r"STANCH_[A-Z_]+[A-Z]", PAGES[page])}
    # What a shell or another program is told to call the token is not a setting of ours.
    named -= {"token"}
    assert {one.removesuffix("_file") for one in named} <= set(Settings.model_fields)
    assert {one.removesuffix("_file") for one in named if one.endswith("_file")} <= SECRETS


@pytest.mark.parametrize("page", ["alertmanager", "generic", "grafana", "notices", "pagerduty", "slack"])
def test_the_parts_of_stanch_yaml_on_a_page_are_read(page: str) -> None:
    found = sections(page)
    assert found
    for one in found:
        assert set(one) <= Configuration.model_validate(TARGETS | one).model_fields_set


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_on_a_page_is_one(page: str, line: str) -> None:
    words = shlex.split(line)
    command: click.Command = group
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"{page}: stanch {line}"
        command = found
    context = command.make_context("stanch", words, resilient_parsing=False)
    assert context.command is command


@pytest.mark.parametrize("page", PAGES)
def test_every_address_of_ours_on_a_page_is_served(page: str) -> None:
    named = re.findall(r"stanch\.example\.com(/(?:webhooks|slack)/[a-z/]+)", PAGES[page])
    assert set(named) <= SERVED


def test_what_the_page_posts_to_a_generic_source_is_read_by_its_mapping() -> None:
    (mapping,) = [one["sources"]["nagios"] for one in sections("generic") if "sources" in one]
    source = Configuration.model_validate(TARGETS | {"sources": {"nagios": mapping}}).source("nagios")
    (curl,) = curls("generic")
    assert source.mapping is not None
    group = generic.read(curl[curl.index("-d") + 1].encode(), "nagios", source.mapping, datetime.now(UTC))
    assert [(one.labels["service"], one.labels["alertname"]) for one in group.firing] == [("checkout", "disk")]


def test_what_the_page_posts_about_a_deploy_is_read() -> None:
    (curl,) = curls("changes")
    (told,) = changes.read(curl[curl.index("-d") + 1].encode())
    assert (told.service, told.version) == ("checkout", "2.14.0")


def test_the_subscription_the_page_makes_hears_what_opens_and_ends_incidents() -> None:
    (curl,) = curls("pagerduty")
    made = json.loads(curl[curl.index("-d") + 1])["webhook_subscription"]
    assert {"incident.triggered", "incident.resolved", "incident.reopened"} <= set(made["events"])
    assert made["delivery_method"]["url"].endswith("/webhooks/pagerduty")


def test_apprise_is_installed_as_the_page_and_the_refusal_say() -> None:
    assert INSTALL_APPRISE in PAGES["notices"]
