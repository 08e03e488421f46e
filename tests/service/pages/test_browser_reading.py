"""How the pages are read in a real Chromium: on paper, as a file, by key, from a link, on the narrowest screen."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.service.memory_store import NOW, MemoryStore
from tests.service.pages_examples import story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.service.pages.site import Site

PAPER_PX = 718
"""A4 between margins of 10 mm, at 96 dots an inch."""
UTC_TITLE = re.compile(r"^\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d:\d\d UTC$")

CUT_OFF = """() => {
  const seen = [...document.querySelectorAll('main *')].filter((one) => one.checkVisibility());
  const html = seen.filter((one) => one instanceof HTMLElement);
  const hides = (one) => getComputedStyle(one).overflowX !== 'visible' && getComputedStyle(one).clipPath === 'none';
  const beside = html.filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.hear'));
  const clipped = html.filter((one) => hides(one) && one.scrollWidth > one.clientWidth);
  return [...beside, ...clipped].map((one) => one.outerHTML.slice(0, 120));
}"""
COVERED = """(query) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector(query));
  return [...range.getClientRects()].filter((box) => {
    const top = document.elementFromPoint(box.right - 3, (box.top + box.bottom) / 2);
    return top && !top.contains(document.querySelector(query)) && top !== document.querySelector(query);
  }).length;
}"""


def told(store: MemoryStore | None = None) -> MemoryStore:
    """One that is over, one that is being looked into, one that waits, and a deploy before all of them."""
    held = story("resolved", incident=1, store=store)
    story("investigating", incident=2, store=held)
    story("awaiting_approval", incident=3, store=held)
    held.add("change", service="orders", version="881", summary="migration 0042", at=NOW.replace(minute=4))
    held.add("postmortem_edit", incident_id=1, revision=1, person="Ada", body="## Impact\n\nNone.", at=NOW)
    held.add("quarantined", id=1, receipt="r-1", source="alertmanager", reason="no version", received_at=NOW, bytes=812)
    return held


# --- On paper ----------------------------------------------------------------------------------------------------


def test_an_incident_on_paper_has_everything_but_the_decision_and_nothing_is_cut_off(site: Site, page: Page) -> None:
    store = site.show(told())
    command = "CREATE INDEX CONCURRENTLY " + "st_a_long_name_" * 12 + " ON public.orders (customer_id, placed_at)"
    store.tables["proposal"][1]["command"] = command
    page.set_viewport_size({"width": PAPER_PX, "height": 1000})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.url}/i/INC-3")
    page.locator("[data-charts=evidence]").scroll_into_view_if_needed()
    expect(page.locator("[data-charts=evidence] .uplot").first).to_be_attached()
    page.emulate_media(media="print")
    for gone in (".decide", "#approve", "#deny", "#reason", ".top nav", ".search", ".copy", ".uplot", "dialog"):
        assert not any(one.is_visible() for one in page.locator(gone).all()), gone
    expect(page.locator("#command")).to_have_text(command)
    assert page.evaluate(COVERED, "#command") == 0
    digest = page.locator("#digest")
    assert re.fullmatch("[0-9a-f]{64}", digest.inner_text())
    box = digest.bounding_box()
    assert box is not None
    assert box["width"] > 200
    for query in (".drawn .line", ".checks li", "#decision .facts dd", ".timeline li", ".causes tr"):
        assert all(one.is_visible() for one in page.locator(query).all()), query
        assert page.locator(query).count() >= 3, query
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("path", ["/i/INC-1", "/i/INC-1/postmortem", "/audit", "/i/INC-3/proposals/1", "/settings"])
def test_on_paper_no_page_is_cut_off_and_none_asks_for_anything(path: str, site: Site, page: Page) -> None:
    site.show(told())
    page.set_viewport_size({"width": PAPER_PX, "height": 1000})
    page.goto(site.url + path)
    page.emulate_media(media="print")
    assert page.evaluate(CUT_OFF) == []
    asking = page.locator("main :is(button, input, select, textarea)").all()
    assert [one.evaluate("node => node.outerHTML") for one in asking if one.is_visible()] == []


# --- As a file ---------------------------------------------------------------------------------------------------

FORMULA = "=cmd|' /C calc'!A0"


def _file(page: Page, name: str) -> tuple[str, str]:
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes().decode()


def test_the_overviews_figures_as_files_hold_what_its_filter_shows_and_no_formula(site: Site, page: Page) -> None:
    store = told()
    store.tables["incident"][0].update(service=FORMULA)
    story("resolved", incident=4, store=store, service=FORMULA, opened_at=NOW - timedelta(days=20))
    site.show(store)
    page.goto(f"{site.url}/?days=7")
    page.locator("select[name=service]").select_option(FORMULA)
    page.wait_for_url("**service=**")
    expect(page.locator("#restore")).to_contain_text(FORMULA)
    name, text = _file(page, "CSV")
    assert name == "time-to-restore.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["id"], row["service"], row["restore"]) for row in rows] == [("INC-1", f"'{FORMULA}", "61.0")]
    with page.expect_response("**/api/v1/ttr?**") as answered:
        page.get_by_role("link", name="JSON", exact=True).click()
    data = answered.value.json()
    assert [(one["id"], one["service"]) for one in data["incidents"]] == [("INC-1", FORMULA)]
    assert data["restore"]["n"] == 1


def test_the_audit_as_files_holds_what_its_filter_shows_and_no_formula(site: Site, page: Page) -> None:
    store = told()
    for row in store.tables["audit"]:
        if row["incident_id"] == 1 and row["actor"] == "Ada":
            row["data"] |= {"note": FORMULA, "reason": "fine;=1+1"}
            row["actor"] = "@Ada"
    site.show(store)
    page.goto(f"{site.url}/audit")
    page.locator("input[name=incident]").fill("INC-1")
    page.locator("input[name=actor]").fill("@Ada")
    page.locator("input[name=actor]").blur()
    page.wait_for_url("**actor=%40Ada**")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    name, text = _file(page, "CSV")
    assert name == "audit.csv"
    ((row),) = csv.DictReader(io.StringIO(text))
    assert (row["actor"], row["note"], row["reason"]) == ("'@Ada", f"'{FORMULA}", "fine;'=1+1")
    name, text = _file(page, "JSON Lines")
    assert name == "audit.jsonl"
    (line,) = text.splitlines()
    assert (json.loads(line)["actor"], json.loads(line)["note"]) == ("@Ada", FORMULA)


TIMES = """all => all.map((one) => [
  one.dateTime, one.dataset.as, one.title, one.textContent, one.nextSibling?.nodeValue ?? '',
])"""


# --- Figures, times ----------------------------------------------------------------------------------------------


def test_the_time_before_stands_beside_the_figures_and_follows_the_filter(site: Site, page: Page) -> None:
    store = told()
    for number in range(10, 16):
        story("resolved", incident=number, store=store, opened_at=NOW - timedelta(days=8 + number / 10))
    site.show(store)
    page.goto(f"{site.url}/?days=7")
    restore = page.locator("section[aria-labelledby=restore]")
    expect(restore).to_contain_text("The 7 days before: 1 min 1 s (1 min 1 s to 1 min 1 s), n = 6.")
    load = page.locator("section[aria-labelledby=load]")
    expect(load.locator("tr", has_text="Incidents opened").locator("td")).to_have_text("3")
    expect(load.locator("tr", has_text="in the time before").locator("td")).to_have_text("6")
    page.locator("select[name=days]").select_option("1")
    page.wait_for_url("**days=1&**")
    expect(restore).not_to_contain_text("before:")
    expect(load.locator("tr", has_text="in the time before").locator("td")).to_have_text("0")
    page.locator("select[name=days]").select_option("30")
    expect(load.locator("tr", has_text="Incidents opened").locator("td")).to_have_text("9")


def test_in_the_readers_zone_every_time_is_theirs_and_every_title_stays_utc(chromium: Browser, site: Site) -> None:
    store = site.show(told())
    store.tables["incident"][0]["opened_at"] = NOW.replace(hour=2)
    story("executing", incident=4, store=store)
    held = chromium.new_context(timezone_id="America/St_Johns")
    page = held.new_page()
    page.goto(site.login("/skills"))
    page.locator("[data-zone]").click()
    for path in ("/", "/incidents", "/i/INC-1", "/i/INC-4", "/i/INC-1/postmortem", "/audit", "/quarantine"):
        page.goto(site.url + path)
        times = page.locator("main time")
        assert times.count() > 0, path
        for at, kind, title, text, behind in times.evaluate_all(TIMES):
            assert UTC_TITLE.match(title), (path, at, title)
            assert title[-12:-4] != text[-8:], (path, at, text)
            assert not behind.lstrip(" ,").startswith("UTC"), (path, at, text, behind)
            assert (kind, at[:13]) != ("date", "2026-11-21T02") or text == "20 Nov 2026", (path, at, text)
        stated = page.locator("main [data-zone-name]").all_text_contents()
        assert set(stated) <= {"UTC\u22123:30"}, path
    held.close()


# --- Keys and links ----------------------------------------------------------------------------------------------


def test_two_keys_lead_to_each_page_and_j_and_k_go_through_its_rows(site: Site, page: Page) -> None:
    site.show(told())
    page.goto(f"{site.url}/settings")
    for second, address in (("i", "/incidents"), ("s", "/skills"), ("a", "/audit"), ("o", "/")):
        page.keyboard.press("g")
        page.keyboard.press(second)
        page.wait_for_url(site.url + address)
    rows = page.locator("[data-row]")
    for key, place in (("j", 0), ("j", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        expect(rows.nth(place)).to_be_focused()
    page.goto(f"{site.url}/incidents")
    for _ in range(5):
        page.keyboard.press("j")
    expect(rows.last).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/i/INC-1")


def test_the_first_tab_leads_past_the_frame(site: Site, page: Page) -> None:
    site.show(told())
    page.goto(f"{site.url}/i/INC-3")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


FOCUSED = """() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const column = one.closest('.side') ? 1 : 0;
  return document.querySelector('main').contains(one) ? [column, box.top + scrollY] : null;
}"""


@pytest.mark.parametrize("path", ["/i/INC-1", "/i/INC-3"])
def test_tab_goes_down_one_column_and_then_the_other_as_the_eye_does(path: str, site: Site, page: Page) -> None:
    site.show(told())
    page.goto(site.url + path)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    places: list[list[float]] = []
    while (place := _next_place(page)) is not None and len(places) < 80:
        places.append(place)
    assert len(places) > 15
    back = [(one, after) for one, after in itertools.pairwise(places) if after[0] < one[0] or _above(after, one)]
    assert back == []


def _next_place(page: Page) -> list[float] | None:
    page.keyboard.press("Tab")
    place: list[float] | None = page.evaluate(FOCUSED)
    return place


def _above(after: list[float], one: list[float]) -> bool:
    """Beside each other is neither above nor below."""
    return after[0] == one[0] and after[1] < one[1] - 60


def test_each_line_of_the_timeline_and_each_check_has_an_address_of_its_own(site: Site, page: Page) -> None:
    store = site.show(told())
    page.goto(f"{site.url}/i/INC-3")
    for line in page.locator(".timeline li, .checks li").all():
        name = line.get_attribute("id")
        assert line.locator(f"a[href='#{name}']").count() == 1
    last = max(row["id"] for row in store.tables["audit"] if row["incident_id"] == 3)
    page.locator(f"a[href='#row-{last}']").click()
    page.goto(page.url)
    assert page.url.endswith(f"/i/INC-3#row-{last}")
    expect(page.locator(f"#row-{last}")).to_be_in_viewport()
    page.goto(f"{site.url}/i/INC-1/postmortem")
    page.locator(".checks a").first.click()
    page.wait_for_url("**/i/INC-1#E*")
    expect(page.locator(".checks li:target")).to_be_in_viewport()


def test_a_decision_that_comes_too_late_shows_the_difference_on_the_narrowest_screen(site: Site, page: Page) -> None:
    store = site.show(story("awaiting_approval"))
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{site.url}/i/INC-1")
    store.tables["approval"][0].update(revision=2, digest="b" * 64)
    page.locator("#approve").click()
    expect(page.locator("h1")).to_have_text("Your decision was not taken")
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["state", "revision", "digest"]
    assert "b" * 64 in "".join(rows[2].split())
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert store.tables["permit"] == []


EVERY = (
    "/", "/incidents", "/i/INC-1", "/i/INC-2", "/i/INC-3", "/i/INC-3/edit", "/i/INC-3/proposals/1",
    "/i/INC-1/postmortem", "/i/INC-1/postmortem/edit", "/i/INC-1/postmortem/1", "/audit?verify=1", "/skills",
    "/skills/postgres-missing-index", "/settings", "/quarantine", "/i/INC-404", "/login?fresh=1",
)  # fmt: skip


def test_the_narrowest_screen_shows_every_page_without_scrolling_sideways(site: Site, page: Page) -> None:
    store = site.show(told())
    store.tables["incident"][2].update(service="a_service_with_a_name_that_never_ends_" * 4)
    page.set_viewport_size({"width": 320, "height": 640})
    for path in EVERY:
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 320, path
