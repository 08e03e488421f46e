"""The settings page as an admin uses it: a test of an integration, answered in place or, without a script, whole."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from pydantic import SecretStr

from service.hooks import hooks
from tests.service.memory_store import MemoryStore
from tests.service.pages.site import CODE, Site
from tests.service.pages_examples import context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from service.settings import Settings


MAY_COME_BACK = threading.Event()
MAY_COME_BACK.set()


def answered(_settings: Settings, name: str) -> tuple[bool, str]:
    MAY_COME_BACK.wait(20)
    return name == "alertmanager", f"{name}: taken in after 0.1 s <i>"


@pytest.fixture(scope="module")
def settings_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    store = MemoryStore()
    held = context(
        store,
        tmp_path_factory.mktemp("settings"),
        dev_login=SecretStr(f"{CODE}:Ada"),
        alertmanager_tokens=SecretStr("a-token-of-the-tests"),
        grafana_tokens=SecretStr("another-token-of-the-tests"),
    )
    admin = replace(held.identities, people={"Ada": frozenset({"admin"})})
    assert hooks(held.settings, held.ports.configuration)["grafana"].secrets
    site = Site(replace(held, identities=admin, send_test=answered), store)
    # Only now: apprise itself is for whoever starts a service.
    held.settings.__dict__["apprise_urls"] = SecretStr("json://notices.example")
    with site.running() as running:
        yield running


@pytest.mark.parametrize("script", [True, False])
def test_a_test_is_sent_and_answered_beside_its_button(chromium: Browser, settings_site: Site, *, script: bool) -> None:
    held = chromium.new_context(java_script_enabled=script)
    page = held.new_page()
    page.goto(settings_site.login("/settings"))
    page.get_by_role("button", name="Send a test through alertmanager").click()
    expect(page.locator("#test-alertmanager")).to_contain_text("It works alertmanager: taken in after 0.1 s <i>")
    page.get_by_role("button", name="Send a test through grafana").click()
    expect(page.locator("#test-grafana")).to_contain_text("It does not work")
    page.get_by_role("button", name="Send a test through notices").click()
    expect(page.locator("#test-notices")).to_contain_text("It does not work notices: taken in")
    assert page.locator("#test-alertmanager").inner_text() == ("" if not script else
        "It works alertmanager: taken in after 0.1 s <i>")  # fmt: skip
    held.close()


def test_while_a_test_is_on_its_way_the_page_says_so(chromium: Browser, settings_site: Site) -> None:
    page = chromium.new_page()
    page.goto(settings_site.login("/settings"))
    row = page.locator("form.send", has=page.get_by_role("button", name="Send a test through alertmanager"))
    expect(row.locator(".sending")).to_be_hidden()
    MAY_COME_BACK.clear()
    try:
        row.locator("button").click()
        expect(row.locator(".sending")).to_be_visible()
        expect(row.locator("button")).to_be_disabled()
    finally:
        MAY_COME_BACK.set()
    expect(page.locator("#test-alertmanager")).to_contain_text("It works")
    expect(row.locator(".sending")).to_be_hidden()
    page.close()


def test_an_admins_settings_are_accessible_in_both_schemes_and_fit_a_phone(
    chromium: Browser, settings_site: Site
) -> None:
    held = chromium.new_context(viewport={"width": 320, "height": 700})
    page = held.new_page()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(settings_site.login("/settings"))
        page.get_by_role("button", name="Send a test through alertmanager").click()
        expect(page.locator("#test-alertmanager")).to_contain_text("It works")
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        grave = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
        assert grave == []
        assert page.evaluate("document.documentElement.scrollWidth") == 320
    held.close()
