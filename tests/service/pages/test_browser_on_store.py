"""The whole way on a real store: a decision in a browser, the executor's step, the end, told by the store itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from pydantic import SecretStr

from agent.events import VerificationSampled
from connectors.target.memory import MemoryTarget
from service.broadcast import Broadcast
from service.context import Context
from service.identity import Identities, TokenEntry, token_hash
from service.loops import Listener
from service.sessions import MemorySessions
from service.settings import Settings
from service.steps import execute
from tests.connectors.store.database import API
from tests.service.incident_world import KEY, ports_of
from tests.service.pages.site import CODE, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

PERSON = "ada@example.com"


def test_from_the_click_to_the_verified_end_on_a_real_store(chromium: Browser, world: World) -> None:
    number, approval, _ = world.awaiting()
    entry = TokenEntry(person=PERSON, roles=("approver",), sha256=token_hash("stn_ada"))
    held = Context(
        settings=Settings.model_construct(public_url="http://127.0.0.1", dev_login=SecretStr(f"{CODE}:{PERSON}")),
        ports=ports_of(world.api.store),
        runner=world.api,
        signing_key=KEY,
        identities=Identities.of((entry,), "a signing key that nobody knows"),
        sessions=MemorySessions(),
        broadcast=Broadcast(),
    )
    stop = threading.Event()
    with Site(held).running() as site:
        Listener(world.database.dsn(API), {"stanch_incident": held.broadcast.tell}, stop).start()
        page = chromium.new_page()
        page.goto(site.login(f"/i/INC-{number}"))
        page.locator("#approve").click()
        expect(page.locator(".said")).to_have_text("Approved. The fix starts now.", timeout=20_000)
        assert world.approval_state(approval) == "approved"
        _run(world, number)
        expect(page.locator(".head .badge")).to_contain_text("Checking that it recovered", timeout=20_000)
        expect(page.locator(".head .lede")).to_contain_text("The approved command has run")
        world.apply(world.agent, number, VerificationSampled("recovered", "0.2 s is within 0.5 s", None, True))
        expect(page.locator(".head .badge")).to_contain_text("Recovered, verified", timeout=20_000)
        expect(page.locator(".timeline")).to_contain_text("0.2 s is within 0.5 s")
        page.close()
    stop.set()


def _run(world: World, number: int) -> None:
    """The executor's own step, on a target in memory."""
    ((step, _),) = world.steps(number, "execute")
    runner = world.executor({})
    handler = execute.execute(ports_of(runner.store, MemoryTarget()))
    assert world.executor({"execute": handler}).run(step)
