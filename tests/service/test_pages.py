from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from service.pages.template import TEMPLATES
from tests.service.memory_store import MemoryStore
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import STORY, context, story

if TYPE_CHECKING:
    from pathlib import Path

HEADINGS = {
    "received": "Storefront is slow; the cause is being looked for",
    "investigating": "Storefront is slow; the cause is being looked for",
    "awaiting_approval": "Storefront is slow because public.orders lacks an index",
    "executing": "Storefront is slow because public.orders lacks an index",
    "verifying": "Storefront is slow because public.orders lacks an index",
    "resolved": "Storefront was slow because public.orders lacked an index",
}


def shown(folder: Path, state: str = "awaiting_approval", path: str = "/i/INC-1", person: str = "Ada") -> Read:
    answer = Browser(context(story(state), folder)).log_in(person).get(path)
    assert answer.status_code == 200
    return Read(answer.text)


@pytest.mark.parametrize("state", STORY)
def test_every_state_has_a_page_whose_heading_is_a_sentence(state: str, tmp_path: Path) -> None:
    page = shown(tmp_path, state)
    assert HEADINGS[state] in page.text
    assert len(page.all("h1")) == 1
    assert "Not visible to me" in page.text


def test_the_decision_has_the_exact_command_and_every_fact_in_the_order_they_are_asked(tmp_path: Path) -> None:
    page = shown(tmp_path).text
    store = story("awaiting_approval")
    command = store.tables["proposal"][0]["command"]
    wanted = [
        command, "Runs on", "orders-db (production), database shop, server 7301234567890123456", "Lock",
        "ShareUpdateExclusiveLock on public.orders", "Reads and writes go on", "Expect", "plan cost 48,210 to 112",
        "Costs", "about 58 MB of disk", "In the way", "oldest transaction 4 s", "Way back", "DROP INDEX CONCURRENTLY",
        "Counts as recovered", "stays false for 30 s, within 3 min", "Approve and run", "Deny", "Ada, Bob must approve",
    ]  # fmt: skip
    places = [page.index(text) for text in wanted]
    assert places == sorted(places)


def test_the_time_left_and_what_follows_is_said(tmp_path: Path) -> None:
    page = shown(tmp_path)
    assert "05:41 left (until 12:11:41 UTC), then nothing runs" in page.text
    until = {"datetime": "2026-11-21T12:11:41+00:00", "data-as": "clock", "title": "21 Nov 2026, 12:11:41 UTC"}
    assert until in page.all("time")


def test_somebody_who_is_not_on_the_list_reads_but_gets_no_button(tmp_path: Path) -> None:
    page = shown(tmp_path, person="Vera")
    assert "You may not: you are not on that list." in page.text
    assert "Approve and run" not in page.text


def test_while_paused_there_is_no_approving_and_the_page_says_why(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    store.tables["control"][0].update(paused=True, person="Bob", reason="migration night")
    page = Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text)
    assert "Paused by Bob: nothing starts until somebody resumes. migration night" in page.text
    assert "Approve and run" not in page.text
    assert [one["id"] for one in page.all("button") if "id" in one] == ["deny"]


def test_a_cause_shows_its_probability_with_its_interval_and_what_was_ruled_out(tmp_path: Path) -> None:
    page = shown(tmp_path).text
    assert "0.87 (0.79 to 0.92)" in page
    assert "payments: its series stayed as they were" in page
    assert "refuted: normal life shows as much" in page


def test_what_could_not_be_seen_is_named_with_its_reason(tmp_path: Path) -> None:
    page = shown(tmp_path).text
    assert "stale statistics: the statistics of orders not visible: no privilege" in page
    assert "load: no series to judge" in page


def test_a_known_percentage_is_a_bar_and_an_unknown_one_is_never_made_up(tmp_path: Path) -> None:
    known = shown(tmp_path, "executing")
    assert known.all("progress") == [{"max": "100", "value": "61.95", "aria-label": "building index: scanning table"}]
    assert "29,800 of 48,100 blocks in this phase" in known.text
    store = story("executing")
    store.tables["execution"][0]["progress"].update(phase="waiting for writers before build", percent=None, total=0,
                                                    blocked_by=4121)  # fmt: skip
    unknown = Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text)
    assert [set(one) for one in unknown.all("progress")] == [{"aria-label"}]
    assert "waiting for writers before build" in unknown.text
    assert "Waits for process 4121." in unknown.text
    assert "Running, " not in unknown.text


def test_when_contact_to_the_target_is_lost_the_last_percentage_is_not_shown(tmp_path: Path) -> None:
    store = story("executing")
    store.tables["execution"][0].update(state="unknown", result={"detail": "connection reset"})
    browser = Browser(context(store, tmp_path)).log_in()
    page = Read(browser.get("/i/INC-1").text)
    assert "contact lost: the target is asked what became of it" in page.text
    assert [set(one) for one in page.all("progress")] == [{"aria-label"}]
    assert "62 %" not in page.text
    assert "62 %" not in browser.get("/").text


def test_verification_shows_before_after_and_what_the_alert_allows(tmp_path: Path) -> None:
    page = shown(tmp_path, "resolved").text
    assert "Before 4.08" in page
    assert "After 0.22" in page
    assert "The alert allows 0.5" in page


def test_each_chart_has_its_figures_as_text(tmp_path: Path) -> None:
    page = shown(tmp_path)
    charts = [one for one in page.all("div") if one.get("role") == "img"]
    assert len(charts) == 3
    assert charts[0]["aria-label"].startswith("storefront alert signal: median 0.2")
    assert "the alert allows 0.5" in charts[0]["aria-label"]
    assert len([one for one in page.all("path") if one.get("class") == "threshold"]) == 1
    assert len([one for one in page.all("rect") if one.get("class") == "anomaly"]) == 3


def test_the_postmortem_is_a_page_and_a_file(tmp_path: Path) -> None:
    browser = Browser(context(story("resolved"), tmp_path)).log_in()
    assert "confirmed by verified fix" in Read(browser.get("/i/INC-1/postmortem").text).text
    file = browser.get("/i/INC-1/postmortem.md")
    assert file.headers["content-disposition"] == 'attachment; filename="INC-1.md"'
    assert file.text.startswith("# INC-1: StorefrontSlow on storefront")


def test_a_postmortem_that_is_not_written_yet_says_when_it_will_be(tmp_path: Path) -> None:
    answer = Browser(context(story("executing"), tmp_path)).log_in().get("/i/INC-1/postmortem")
    assert answer.status_code == 404
    assert "written when the incident ends" in answer.text


@pytest.mark.parametrize("key", ["INC-99", "INC-0", "INC-01", "inc-1", "1", "INC-1'--", "INC-9999999999999999999"])
def test_an_unknown_incident_is_a_404_that_helps(key: str, tmp_path: Path) -> None:
    answer = Browser(context(story("received"), tmp_path)).log_in().get(f"/i/{key}")
    assert answer.status_code == 404
    assert "There is no such incident" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_without_the_store_the_page_says_so_and_names_no_host(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser = Browser(context(store, tmp_path)).log_in()
    store.away = True
    answer = browser.get("/i/INC-1")
    assert answer.status_code == 503
    assert "The store does not answer" in answer.text
    assert "db.internal" not in answer.text


def test_the_fragment_is_the_same_parts_without_a_frame(tmp_path: Path) -> None:
    browser = Browser(context(story("awaiting_approval"), tmp_path)).log_in()
    whole, fragment = Read(browser.get("/i/INC-1").text), Read(browser.get("/i/INC-1", **{"X-Fragment": "1"}).text)
    assert fragment.all("html") == []
    named = [[one["data-part"] for _, one in page.elements if "data-part" in one] for page in (whole, fragment)]
    assert named[0] == named[1]
    assert fragment.text == Read(browser.get("/i/INC-1?fragment=1").text).text


def test_the_overview_puts_first_what_waits_and_says_who_is_missing(tmp_path: Path) -> None:
    store = story("investigating", incident=2, store=story("awaiting_approval"))
    story("resolved", incident=3, store=store)
    store.tables["process"] = [row for row in store.tables["process"] if row["kind"] != "executor"]
    store.add("quarantined", id=1, receipt="r-1", source="alertmanager", reason="no version", received_at=store.at,
              bytes=812)  # fmt: skip
    page = Read(Browser(context(store, tmp_path)).log_in().get("/").text).text
    assert "Nobody runs approved fixes: no process for “executor” has been seen." in page
    assert "1 body in quarantine" in page
    assert page.index("Waits for you") < page.index("Looking for the cause") < page.index("Recovered, verified")
    assert "too few for a median" in page


def test_an_empty_overview_says_what_is_normal(tmp_path: Path) -> None:
    page = Read(Browser(context(MemoryStore(), tmp_path)).log_in().get("/").text).text
    assert "No incident is open." in page
    assert "Nobody investigates" in page


def test_quarantined_bodies_are_listed_with_their_reason(tmp_path: Path) -> None:
    store = MemoryStore()
    store.add("quarantined", id=1, receipt="r-1", source="alertmanager", reason="version 3 <b>", received_at=store.at,
              bytes=812)  # fmt: skip
    assert "version 3 <b>" in Read(Browser(context(store, tmp_path)).log_in().get("/quarantine").text).text


def test_a_proposal_of_propose_mode_is_shown_and_left_to_the_reader(tmp_path: Path) -> None:
    store = story("awaiting_approval", state="needs_human", mode="propose", outcome="no_action")
    store.tables["approval"].clear()
    page = Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text).text
    assert "is in propose mode, so running it is left to you" in page
    assert "Approve and run" not in page


# --- Nothing from outside runs, leads astray or hides ----------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>",
    "[click](javascript:alert(1)) **bold** <!channel>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https://good.example@evil.example/",
    "https://evil.example/\u202egpj.exe",
    "{{ 7 * 7 }} {% raw %}",
    "\u202edrop\u200b table\x00\x1b[31m",
    "\U0001f4a5" * 50,
    "A" * 100_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_on_every_page(text: str, tmp_path: Path) -> None:
    store = story("resolved")
    row, alert = store.tables["incident"][0], store.tables["alert"][0]
    row.update(service=text, title=text, severity=text, labels={"alertname": text, text: text})
    row["working"]["why"] = text
    row["working"]["conclusion"].update(cause="something_else", title=text)
    alert.update(labels={"alertname": text, text: text}, annotations={"summary": text, text: text}, generator_url=text)
    for table, column in (("evidence", "summary"), ("decision", "reason")):
        for one in store.tables[table]:
            one[column] = text
    for one in store.tables["audit"]:
        one["data"]["note"], one["actor"] = text, text
    store.tables["execution"][0]["result"]["detail"] = text
    store.tables["postmortem"][0]["body"].update(title=text, service=text, verification=text, self_critique=[text])
    browser = Browser(context(store, tmp_path)).log_in()
    for path in ("/", "/i/INC-1", "/i/INC-1/postmortem", "/incidents", "/audit", "/i/INC-1/proposals/1", "/skills"):
        answer = browser.get(path)
        assert answer.status_code == 200
        _inert(Read(answer.text))
        assert not set(answer.text) & set("\u202e\u200b\x00\x1b")
        assert len(answer.text) < 120_000


def _inert(page: Read) -> None:
    scripts = [one for one in page.all("script") if one.get("type") != "application/json"]
    assert all(one.get("src", "").startswith("/static/") for one in scripts)
    assert page.all("img") == []
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith(("on", "hx-on")) or name == "style"]
        href = attributes.get("href", "/")
        assert href.startswith(("/", "#", "http://prometheus.example", "https://runbooks.example"))


def test_a_long_text_ends_with_a_mark_that_says_how_much_is_missing(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    store.tables["alert"][0]["annotations"] = {"summary": "A" * 100_000}
    page = Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text).text
    assert "… [cut, 99,700 more characters]" in page


def test_a_command_is_never_cut_and_hidden_characters_in_it_are_spelled_out(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    command = "CREATE INDEX CONCURRENTLY " + "x" * 20_000 + "\u202e;"
    store.tables["proposal"][0]["command"] = command
    page = Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text).text
    assert "x" * 20_000 + "[U+202E];" in page
    assert "It holds characters that cannot be seen." in page


def test_links_of_an_alert_are_plain_http_and_give_nothing_away(tmp_path: Path) -> None:
    links = [one for one in shown(tmp_path).all("a") if one["href"].startswith("http")]
    assert [one["href"] for one in links] == [
        "https://runbooks.example/slow",
        "http://prometheus.example:9090/graph?g0.expr=up",
    ]
    assert all("noreferrer" in one["rel"] for one in links)


# --- What the policy of the pages asks of the templates --------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/i/INC-1", "/login", "/i/INC-404"])
def test_every_page_has_the_strict_policy(path: str, tmp_path: Path) -> None:
    browser = Browser(context(story("awaiting_approval"), tmp_path))
    answer = (browser if path == "/login" else browser.log_in()).get(path)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"


JSON_ISLAND = '<script type="application/json">'


@pytest.mark.parametrize("file", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.stem)
def test_no_template_has_inline_code_or_an_unescaped_value(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for forbidden in (
        "style=",
        "<style",
        "|safe",
        "onclick",
        "onload",
        "onsubmit",
        "autoescape",
        "hx-on",
        "http://",
        "https://",
    ):
        assert forbidden not in text
    scripts = re.findall(r"<script[^>]*>(?=(.*?)</script>)", text)
    inline = re.findall(r"<script(?! src=\"\{\{ static\('[a-z./]+'\) \}\}\"(?: defer)?>)[^>]*>", text)
    # Data is no code: the policy runs no file but ours, and tojson escapes what could end the element.
    assert inline == [JSON_ISLAND] * len(inline)
    assert [content for content in scripts if content] == ["{{ graph|tojson }}"] * len(inline)
