"""The pages in a real Chromium: read, decided on, followed live, by keyboard, on a phone, without a script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.service.pages.site import CODE
from tests.service.pages_examples import EXPR, story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.service.memory_store import MemoryStore
    from tests.service.pages.site import Site


def three() -> MemoryStore:
    """One that waits, one that is being looked into, one that is over."""
    store = story("resolved", incident=1)
    story("investigating", incident=2, store=store)
    story("awaiting_approval", incident=3, store=store)
    store.add("change", service="orders", version="881", summary="migration 0042", at=store.at.replace(minute=4))
    store.add("quarantined", id=1, receipt="r-1", source="alertmanager", reason="x", received_at=store.at, bytes=8)
    store.add("postmortem_edit", incident_id=1, revision=1, person="Ada", body="## Impact\n\nNone.", at=store.at)
    return store


def noted(store: MemoryStore, note: str) -> None:
    """A change as the store notes it: with an audit row."""
    newest = max(row["id"] for row in store.tables["audit"])
    store.add("audit", id=newest + 1, at=store.at, incident_id=1, actor="worker", action="CheckAnswered", seq=None,
              hash=None, data={"note": note, "from": None, "to": None})  # fmt: skip


PAGES = (
    "/", "/incidents", "/i/INC-1", "/i/INC-3", "/i/INC-3/edit",
    "/i/INC-3/proposals/1", "/i/INC-1/postmortem", "/i/INC-1/postmortem/edit", "/i/INC-1/postmortem/1", "/audit",
    "/skills", "/skills/postgres-missing-index", "/settings", "/quarantine", "/i/INC-404", "/login?fresh=1",
)  # fmt: skip


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def grave(page: Page, scheme: Literal["light", "dark"]) -> list[tuple[str, str]]:
    """What axe finds serious or worse in a scheme."""
    page.emulate_media(color_scheme=scheme)
    # What only the scheme changes is colour.
    rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
    found = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_in_both_schemes_and_asks_nobody_else(path: str, site: Site, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    site.show(three())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto(site.url + path, wait_until="load")
        assert grave(page, scheme) == [], scheme
    assert {url for url in asked if not url.startswith((site.url, "data:"))} == set()
    wanted_404 = [text for text in said if "404" in text and path.endswith("404")]
    assert [text for text in said if text not in wanted_404] == []


@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_shows_every_page_without_scrolling_sideways(width: int, site: Site, page: Page) -> None:
    site.show(three())
    page.set_viewport_size({"width": width, "height": 740})
    for path in ("/", "/incidents", "/i/INC-1", "/i/INC-3", "/i/INC-1/postmortem", "/audit", "/skills"):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path


def test_a_phone_approves_with_everything_in_sight_and_fingers_wide_apart(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{site.url}/i/INC-1")
    for text in ("Runs on", "Lock", "Expect", "Costs", "In the way", "Way back", "Counts as recovered", "Risk"):
        expect(page.locator("dl.facts dt", has_text=text)).to_be_visible()
    approve, deny = page.locator("#approve"), page.locator("#deny")
    boxes = [box for one in (approve, deny) if (box := one.bounding_box()) is not None]
    assert all(box["height"] >= 44 and box["width"] > 260 for box in boxes)
    assert boxes[1]["y"] - boxes[0]["y"] - boxes[0]["height"] >= 44
    approve.click()
    expect(page.locator(".said")).to_have_text("Approved. The fix starts now.")
    assert [row["person"] for row in store.tables["permit"]] == ["Ada"]


def test_from_the_approval_to_the_verified_end_the_page_follows_by_itself(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    page.locator("#approve").click()
    expect(page.locator(".said")).to_be_visible()
    expect(page.locator(".head .badge")).to_contain_text("Running")
    site.show(story("executing"))
    site.tell()
    expect(page.locator("progress")).to_have_attribute("value", "61.95")
    expect(page.locator(".steps .now")).to_contain_text("build")
    expect(page.locator("[data-steps]")).to_have_text(re.compile(r"^building index.*, 50 %$"))
    store.tables["execution"][0]["progress"].update(phase="index validation", percent=None, total=0)
    noted(store, "half-way")
    site.tell()
    expect(page.locator(".phase")).to_contain_text("index validation")
    assert page.locator("progress").get_attribute("value") is None
    site.show(story("resolved"))
    site.tell()
    expect(page.locator(".head .badge")).to_contain_text("Recovered, verified")
    expect(page.locator("[data-part=verification]")).to_contain_text("recovered: 0.22 is within <= 0.5")
    expect(page.locator("[data-charts=verification] .uplot")).to_be_visible()


def test_an_update_moves_nothing_under_a_decision_and_keeps_the_focus(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    page.locator("#reason").fill("not during the sa")
    before = page.locator("#approve").bounding_box()
    store.tables["incident"][0]["version"] += 1
    store.add_evidence(1, "late_check", "database", "yes", "something else " * 30, {})
    noted(store, "a late answer")
    site.tell()
    expect(page.locator(".timeline")).to_contain_text("a late answer")
    assert page.locator("#approve").bounding_box() == before
    expect(page.locator("#reason")).to_be_focused()
    expect(page.locator("#reason")).to_have_value("not during the sa")


def test_another_revision_takes_the_place_of_what_was_shown(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    store.tables["approval"][0]["state"] = "denied"
    store.tables["incident"][0].update(state="needs_human", version=9)
    noted(store, "denied")
    site.tell()
    expect(page.locator(".head .badge")).to_contain_text("Needs a human")
    expect(page.locator("#approve")).to_have_count(0)


def test_while_the_service_is_away_nothing_can_be_decided_and_afterwards_all_is_as_new(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    expect(page.locator("#approve")).to_be_enabled()
    page.wait_for_timeout(300)
    site.down = True
    expect(page.locator("[data-live]")).to_contain_text("Not up to date")
    expect(page.locator("#approve")).to_be_disabled()
    store.tables["incident"][0].update(title="changed meanwhile", version=9)
    noted(store, "while nobody listened")
    site.down = False
    expect(page.locator("#approve")).to_be_enabled()
    expect(page.locator("[data-live]")).to_be_hidden()
    expect(page.locator(".timeline")).to_contain_text("while nobody listened")


def test_a_store_that_is_away_is_said_while_the_page_is_open(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    expect(page.locator("#approve")).to_be_enabled()
    page.wait_for_timeout(300)
    store.away = True
    site.tell()
    expect(page.locator("[data-live]")).to_contain_text("the store does not answer")
    expect(page.locator("#approve")).to_be_disabled()
    store.away = False
    site.tell()
    expect(page.locator("#approve")).to_be_enabled()


# --- Keys --------------------------------------------------------------------------------------------------------


def test_keys_alone_lead_from_the_overview_to_a_decision(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.goto(site.url)
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/i/INC-1#decision")
    page.keyboard.press("a")
    expect(page.locator("#approve")).to_be_focused()
    assert store.tables["decision"] == []
    page.keyboard.press("d")
    expect(page.locator("#deny")).to_be_focused()
    assert store.tables["decision"] == []
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_have_text("Approved. The fix starts now.")
    assert [row["decision"] for row in store.tables["decision"]] == ["approve"]


def test_single_keys_find_search_and_help_and_can_be_turned_off(site: Site, page: Page) -> None:
    site.show(three())
    page.goto(f"{site.url}/i/INC-3")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("a/d?")
    expect(page.locator("#search")).to_have_value("a/d?")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.locator("[data-keys]").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator("#approve")).not_to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("[data-help]").click()
    page.locator("[data-keys]").check()
    page.locator("#keys button").click()
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/incidents")


# --- Reading -----------------------------------------------------------------------------------------------------


def test_without_a_script_all_is_read_and_approved(chromium: Browser, site: Site) -> None:
    store = site.show(story("awaiting_approval"))
    store.add("change", service="orders", version="881", summary="migration", at=store.at.replace(minute=4))
    held = chromium.new_context(java_script_enabled=False)
    page = held.new_page()
    page.goto(site.login("/i/INC-1"))
    assert page.locator(".drawn .line").count() == 3
    assert page.locator(".graph-list, ol.path li").count() == 3
    assert not page.locator(".copy").first.is_visible()
    page.locator("#approve").click()
    assert "Approved. The fix starts now." in page.locator("main").inner_text()
    assert len(store.tables["permit"]) == 1
    page.goto(f"{site.url}/audit?verify=1")
    assert "0 rows follow from the first" in page.locator("main").inner_text()
    held.close()


def test_the_scheme_and_the_zone_are_the_readers_and_stay(chromium: Browser, site: Site) -> None:
    site.show(story("awaiting_approval"))
    held = chromium.new_context(timezone_id="Asia/Kolkata", color_scheme="light")
    page = held.new_page()
    page.goto(site.login("/i/INC-1"))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("button[data-scheme]").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    time = page.locator(".left time")
    expect(time).to_have_text("12:11:41")
    page.locator("[data-zone]").click()
    expect(time).to_have_text("17:41:41")
    expect(time).to_have_attribute("title", "21 Nov 2026, 12:11:41 UTC")
    expect(page.locator("[data-zone]")).to_have_text("UTC+5:30")
    page.reload()
    expect(time).to_have_text("17:41:41")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    held.close()


def test_the_command_is_copied_byte_for_byte(chromium: Browser, site: Site) -> None:
    store = site.show(story("awaiting_approval"))
    command = 'CREATE INDEX CONCURRENTLY "a""b"\n\tON public.orders ("é\u2013\u2018x\u2019")'
    store.tables["proposal"][0]["command"] = command
    held = chromium.new_context()
    held.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page = held.new_page()
    page.goto(site.login("/i/INC-1"))
    page.keyboard.press("c")
    expect(page.locator("[data-copy='#command']")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command
    page.get_by_role("button", name="Copy the way back").click()
    assert page.evaluate("navigator.clipboard.readText()") == store.tables["proposal"][0]["rollback"]
    page.get_by_role("button", name="Copy the alert's expression").click()
    assert page.evaluate("navigator.clipboard.readText()") == EXPR
    held.close()


def test_a_filter_is_in_the_address_and_the_figures_follow_it(site: Site, page: Page) -> None:
    site.show(three())
    page.goto(site.url)
    page.locator("select[name=service]").select_option("storefront")
    page.wait_for_url("**service=storefront**")
    expect(page.locator("#restore")).to_contain_text("storefront")
    page.goto(page.url)
    expect(page.locator("select[name=service]")).to_have_value("storefront")
    page.goto(f"{site.url}/incidents")
    page.locator("#q").fill("nothing like it")
    expect(page.locator("#rows")).to_contain_text("Nothing matches.")
    page.goto(f"{site.url}/incidents?q=inc-2")
    page.wait_for_url("**/i/INC-2")


def test_a_chart_is_looked_closer_at_and_the_address_says_where(site: Site, page: Page) -> None:
    site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    page.locator("[data-charts=evidence] figure").first.scroll_into_view_if_needed()
    over = page.locator("[data-charts=evidence] .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    for reading in page.locator("[data-charts=evidence] [data-reading]").all():
        expect(reading).to_contain_text(re.compile(r"at \d\d:\d\d:\d\d"))
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+\.\d&to=\d+\.\d"))
    page.mouse.dblclick(box["x"] + 30, box["y"] + 20)
    page.wait_for_url(re.compile(r"INC-1$"))


def test_the_graph_is_text_and_stands_beside_its_list(site: Site, page: Page) -> None:
    site.show(story("awaiting_approval"))
    page.goto(f"{site.url}/i/INC-1")
    names = page.locator(".graph svg .name").all_text_contents()
    assert set(names) == {"orders-db", "orders", "storefront", "payments"}
    assert page.locator(".graph .node.cause .name").text_content() == "orders-db"
    assert page.locator(".graph .node.out .note").text_content() == "ruled out"
    assert page.locator(".graph .edge.strong").count() == 2
    page.locator("#graph-list summary").click()
    expect(page.locator("ol.path li").first).to_contain_text("orders-db")


def test_a_second_tab_that_comes_too_late_is_told_what_changed(site: Site, reader: BrowserContext, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    late = reader.new_page()
    late.goto(f"{site.url}/i/INC-1")
    late.evaluate("document.querySelector('main').removeAttribute('data-events')")
    form: dict[str, Any] = late.evaluate(
        "Object.fromEntries(new FormData(document.querySelector('form.approve')).entries())"
    )
    page.goto(f"{site.url}/i/INC-1")
    page.locator("#deny").click()
    expect(page.locator(".said")).to_have_text("Denied. Nothing runs.")
    answer = late.request.post(f"{site.url}/i/INC-1/decision", form=form, headers={"Origin": site.url})
    assert answer.status == 409
    assert "Your decision was not taken" in answer.text()
    assert store.tables["permit"] == []
    with late.expect_navigation():
        late.evaluate("document.querySelector('form.approve').submit()")
    expect(late.locator("main")).to_contain_text("Your decision was not taken")
    assert [found for scheme in SCHEMES for found in grave(late, scheme)] == []
    late.close()


def test_the_page_of_a_store_that_is_away_is_accessible_too(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    store.away = True
    answer = page.goto(f"{site.url}/i/INC-1")
    assert answer is not None
    assert answer.status == 503
    assert [found for scheme in SCHEMES for found in grave(page, scheme)] == []
    store.away = False  # the site is everybody's


def test_the_login_code_of_the_tests_is_not_taken_elsewhere(site: Site, page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{site.url}/enter?code=not-{CODE}")
    expect(page.locator("[role=alert]")).to_be_visible()
    page.goto(site.login("/skills"))
    expect(page.locator("h1")).to_have_text("Skills")
