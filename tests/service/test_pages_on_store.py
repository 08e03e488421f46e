from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from connectors.store.store import jsonb
from service.broadcast import Broadcast
from service.context import Context
from service.identity import Identities, TokenEntry, token_hash
from service.sessions import StoreSessions
from service.settings import Settings
from tests.service.incident_world import KEY, ports_of
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import ORIGIN, TOKENS

if TYPE_CHECKING:
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

PERSON = "ada@example.com"


def reader(world: World) -> Browser:
    """Somebody on the approver list, logged in, on the API's own role."""
    entry = TokenEntry(person=PERSON, roles=("approver",), sha256=token_hash(TOKENS["Ada"]))
    held = Context(
        settings=Settings.model_construct(public_url=ORIGIN),
        ports=ports_of(world.api.store),
        runner=world.api,
        signing_key=KEY,
        identities=Identities.of((entry,), "a signing key that nobody knows"),
        sessions=StoreSessions(world.api.store),
        broadcast=Broadcast(),
    )
    return Browser(held).log_in()


def test_an_incident_is_read_and_approved_on_a_real_store(world: World) -> None:
    number, approval, _ = world.awaiting()
    browser = reader(world)
    assert f"INC-{number}" in Read(browser.get("/").text).text
    page = Read(browser.get(f"/i/INC-{number}").text)
    assert "free disk not visible" in page.text
    assert "cannot be told: the alert's expression is not known" in page.text
    answer = browser.post(f"/i/INC-{number}/decision", page.form("approve"))
    assert answer.headers["location"] == f"/i/INC-{number}?decided=approved"
    assert world.approval_state(approval) == "approved"
    assert "about to start" in Read(browser.get(f"/i/INC-{number}").text).text


def test_a_denial_on_the_page_ends_the_approval(world: World) -> None:
    number, approval, _ = world.awaiting()
    browser = reader(world)
    form = Read(browser.get(f"/i/INC-{number}").text).form("deny") | {"reason": "not tonight"}
    assert browser.post(f"/i/INC-{number}/decision", form).status_code == 303
    assert world.approval_state(approval) == "denied"
    assert "denied by ada@example.com: not tonight" in Read(browser.get(f"/i/INC-{number}").text).text


@pytest.mark.parametrize("stage", ["received", "investigating"])
def test_an_incident_without_a_fix_has_a_page_on_a_real_store(stage: str, world: World) -> None:
    number: int = getattr(world, stage)()
    page = Read(reader(world).get(f"/i/INC-{number}").text)
    assert "Checkout is slow; the cause is being looked for" in page.text
    assert not {"approve", "deny"} & {one.get("id") for one in page.all("button")}


def test_two_approvers_are_asked_for_until_both_have_decided(world: World) -> None:
    number, approval, _ = world.awaiting(needed=2)
    browser = reader(world)
    form = Read(browser.get(f"/i/INC-{number}").text).form("approve")
    answer = browser.post(f"/i/INC-{number}/decision", form)
    assert answer.headers["location"].endswith("?decided=partially_approved")
    page = Read(browser.get(answer.headers["location"]).text)
    assert "It takes another approver" in page.text
    assert "You have decided." in page.text
    assert "Approve and run" not in page.text
    assert world.approval_state(approval) == "partially_approved"


def test_a_quarantined_body_is_listed_from_a_real_store(world: World) -> None:
    world.notify(key=world.group(), version="3")
    page = Read(reader(world).get("/quarantine").text)
    receipts = [one for one in page.text.split() if one.count("-") == 4]
    assert [uuid.UUID(one).version for one in receipts] == [4]


def test_what_cannot_be_undone_asks_for_the_targets_name_and_a_login_of_just_now(world: World) -> None:
    number, approval, _ = world.awaiting(verdict=jsonb({"locks": [], "risk": "high", "findings": []}))
    browser = reader(world)
    html = browser.get(f"/i/INC-{number}").text
    form = Read(html).form("approve")
    assert "Type <strong>shop</strong>" in html
    assert browser.post(f"/i/INC-{number}/decision", form).status_code == 400
    assert browser.post(f"/i/INC-{number}/decision", {**form, "target": "shop "[:3]}).status_code == 400
    world.database.run("UPDATE stanch.session SET authenticated_at = authenticated_at - interval '6 minutes'")
    stale = browser.post(f"/i/INC-{number}/decision", {**form, "target": "shop"})
    assert stale.headers["location"] == f"/login?fresh=1&next=/i/INC-{number}"
    assert world.approval_state(approval) == "pending"
    assert "Log in once more" in browser.get("/login?fresh=1").text
    again = browser.post("/login", {"token": TOKENS["Ada"], "next": f"/i/INC-{number}"})
    assert again.headers["location"] == f"/i/INC-{number}"
    fresh = {**Read(browser.get(f"/i/INC-{number}").text).form("approve"), "target": "shop"}
    assert browser.post(f"/i/INC-{number}/decision", fresh).status_code == 303
    assert world.approval_state(approval) == "approved"


def test_a_denial_of_it_asks_for_nothing_more(world: World) -> None:
    number, approval, _ = world.awaiting(verdict=jsonb({"locks": [], "risk": "high", "findings": []}))
    browser = reader(world)
    browser.post(f"/i/INC-{number}/decision", Read(browser.get(f"/i/INC-{number}").text).form("deny"))
    assert world.approval_state(approval) == "denied"
