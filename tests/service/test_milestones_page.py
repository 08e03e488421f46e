from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from service.pages.text import span
from tests.service.memory_store import NOW
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

    from httpx import Response

    from tests.service.memory_store import MemoryStore

PATH = "/i/INC-1/postmortem"


def sent(browser: Browser, **changes: str) -> Response:
    fields = Read(browser.get(PATH).text).all("input")
    csrf = next(one["value"] for one in fields if one.get("name") == "csrf")
    form = {"csrf": csrf, "milestone": "impact_start", "at": f"{NOW - timedelta(seconds=200):%Y-%m-%dT%H:%M:%S}",
            "reason": "customers called <b>earlier</b>"}  # fmt: skip
    return browser.post(f"{PATH}/milestone", form | changes)


def milestone(store: MemoryStore, name: str) -> str:
    at: str = store.tables["incident"][0]["milestones"][name]
    return at


def test_a_corrected_start_counts_everywhere_and_the_record_keeps_what_it_had(tmp_path: Path) -> None:
    store = story("resolved")
    browser = Browser(context(store, tmp_path)).log_in()
    was = milestone(store, "impact_start")
    assert sent(browser).status_code == 303
    assert milestone(store, "impact_start") == (NOW - timedelta(seconds=200)).isoformat()
    note = store.tables["audit"][-1]
    assert (note["action"], note["actor"], note["data"]["was"]) == ("MilestoneCorrected", "Ada", was)
    html = browser.get(PATH).text
    assert "Corrected by Ada" in html
    assert "customers called &lt;b&gt;earlier" in html
    assert "customers called <b>earlier</b> (Ada)" in browser.get(f"{PATH}.md").text
    restored = datetime.fromisoformat(milestone(store, "restored"))
    assert span((restored - NOW).total_seconds() + 200) in html


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"at": "tomorrow"}, "Give the time in UTC"),
        ({"at": "2026-13-40T00:00"}, "Give the time in UTC"),
        ({"at": "2031-01-01T00:00"}, "cannot begin after the first alert"),
        ({"at": "2001-01-01T00:00"}, "more than 30 days"),
        ({"milestone": "restored", "at": "2031-01-01T00:00"}, "nor later than now"),
        ({"milestone": "decided"}, "Say which time"),
        ({"reason": " "}, "Say which time"),
    ],
)
def test_a_time_that_cannot_be_right_changes_nothing(tmp_path: Path, changes: dict[str, str], why: str) -> None:
    store = story("resolved")
    before = dict(store.tables["incident"][0]["milestones"])
    answer = sent(Browser(context(store, tmp_path)).log_in(), **changes)
    assert answer.status_code == 400
    assert why in answer.text
    assert store.tables["incident"][0]["milestones"] == before


def test_an_open_incident_has_its_times_from_the_record_alone(tmp_path: Path) -> None:
    store = story("resolved")
    store.tables["incident"][0]["state"] = "executing"
    answer = sent(Browser(context(store, tmp_path)).log_in())
    assert answer.status_code == 400
    assert "still open" in answer.text


def test_neither_a_viewer_nor_a_form_of_another_session_corrects_anything(tmp_path: Path) -> None:
    store = story("resolved")
    held = context(store, tmp_path)
    before = dict(store.tables["incident"][0]["milestones"])
    assert sent(Browser(held).log_in("Vera")).status_code == 403
    assert sent(Browser(held).log_in(), csrf="0" * 64).status_code == 403
    assert store.tables["incident"][0]["milestones"] == before
