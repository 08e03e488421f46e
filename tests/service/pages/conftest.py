"""For each module one Chromium, and one server with a store in memory."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright
from pydantic import SecretStr

from tests.service.memory_store import MemoryStore
from tests.service.pages.site import CODE, Site
from tests.service.pages_examples import context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

WAIT_MS = 20_000
"""How long a busy machine may take for one thing."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the whole run: while it lives its event loop does, and no other test could start one of its own."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on PATH (Debian: apt-get install chromium)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    store = MemoryStore()
    held = context(
        store,
        tmp_path_factory.mktemp("site"),
        dev_login=SecretStr(f"{CODE}:Ada"),
        alertmanager_tokens=SecretStr("a-token-of-the-tests"),
    )
    with Site(held, store).running() as running:
        yield running


@pytest.fixture(scope="module")
def reader(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """Ada's browser, logged in."""
    held = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    held.set_default_timeout(WAIT_MS)
    site.show(MemoryStore())
    page = held.new_page()
    page.goto(site.login("/skills"))
    page.close()
    yield held
    held.close()


@pytest.fixture
def page(reader: BrowserContext) -> Iterator[Page]:
    opened = reader.new_page()
    yield opened
    opened.close()
