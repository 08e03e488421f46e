"""What the incident page says of earlier incidents, of lessons and of the same elsewhere, on a store in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from agent.memory.case import PastCase, case_of
from agent.memory.lessons import derive
from agent.memory.siblings import Pattern, Sibling, Swept
from tests.agent.memory.posts import post
from tests.service.memory_store import NOW, MemoryStore
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>"


def past(store: MemoryStore, number: int, **changes: Any) -> PastCase:
    incident = store.tables["incident"][0]
    case = case_of(post(number), NOW - timedelta(days=1))
    case = replace(case, alertname=incident["labels"]["alertname"], service=incident["service"], **changes)
    store.add(
        "past_case", incident_id=number, alertname=case.alertname, service=case.service, cause=case.cause,
        body=orjson.loads(orjson.dumps(case.as_data())),
    )  # fmt: skip
    return case


def read(store: MemoryStore, tmp_path: Path) -> str:
    return Read(Browser(context(store, tmp_path)).log_in().get("/i/INC-1").text).text


def test_an_incident_without_its_like_says_so(tmp_path: Path) -> None:
    assert "No earlier incident that is like this one" in read(story("awaiting_approval"), tmp_path)


def test_earlier_incidents_are_shown_with_the_checks_that_were_missed(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    past(store, 40)
    past(store, 41, cause="connection_leak", title="Connection leak", found_by=("database:never_asked_here",))
    page = read(store, tmp_path)
    assert "INC-40" in page
    assert "Connection leak: found by database:never_asked_here" in page
    assert "Missed checks, not made here: database:never_asked_here" in page
    assert "What they suggest is a guess until it is checked here." in page


def test_two_causes_of_one_alert_are_said_to_be_two(tmp_path: Path) -> None:
    store = story("received")
    past(store, 40)
    past(store, 41, cause="connection_leak", title="Connection leak")
    assert "no single cause stands out among them." in read(store, tmp_path)


def test_trusted_lessons_about_the_cause_are_shown(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    cases = [past(store, 40, effect="harmful"), past(store, 41, effect="harmful", target="other")]
    for lesson in derive(cases, {}, NOW):
        body = orjson.loads(orjson.dumps(lesson.as_data()))
        store.add("lesson", id=lesson.id, body=body, updated_at=NOW, confirmed_by=None, confirmed_at=None)
    store.tables["incident"][0]["target"] = "orders-db"
    assert "create index concurrently harms against missing index" in read(store, tmp_path)


def test_the_same_elsewhere_is_shown_and_nothing_in_it_is_markup(tmp_path: Path) -> None:
    store = story("resolved")
    found = Sibling("shop-eu", f"public.{HOSTILE} (customer_id)", "yes", f"{HOSTILE}: no index begins with it")
    swept = Swept(
        Pattern("index_would_help"), (found, Sibling("shop", "index_would_help", "no", "fine")), ("third",), 1.0
    )
    store.add_evidence(1, "sibling_sweep", "database", swept.status, swept.summary, swept.as_data())
    past(store, 40, title=HOSTILE)
    browser = Browser(context(store, tmp_path)).log_in()
    raw = browser.get("/i/INC-1").text
    assert HOSTILE not in raw
    page = Read(raw).text
    assert "The same elsewhere" in page
    assert "No time was left to look." in page
    assert "shop-eu" in page
