from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.pages_browser import OWN, Browser, Read
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.memory_store import MemoryStore

DECISION = "/i/INC-1/decision"


def opened(store: MemoryStore, folder: Path, person: str = "Ada") -> tuple[Browser, Read]:
    browser = Browser(context(store, folder)).log_in(person)
    return browser, Read(browser.get("/i/INC-1").text)


def test_approving_takes_the_decision_and_leads_back_to_the_page(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    answer = browser.post(DECISION, page.form("approve"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/i/INC-1?decided=approved")
    assert store.tables["incident"][0]["state"] == "executing"
    assert [row["person"] for row in store.tables["permit"]] == ["Ada"]
    assert [row["channel"] for row in store.tables["decision"]] == ["dashboard"]
    after = Read(browser.get(answer.headers["location"]).text).text
    assert "Approved. The fix starts now." in after
    assert "Approve and run" not in after


def test_denying_keeps_the_reason_and_runs_nothing(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    answer = browser.post(DECISION, page.form("deny") | {"reason": "not during the sale"})
    assert answer.headers["location"] == "/i/INC-1?decided=denied"
    assert store.tables["decision"][0]["reason"] == "not during the sale"
    assert store.tables["permit"] == []
    assert store.tables["execution"] == []


def test_the_reason_stands_in_the_form_that_denies_so_that_enter_cannot_approve(tmp_path: Path) -> None:
    _, page = opened(story("awaiting_approval"), tmp_path)
    order = [
        one.get("value") if one.get("name") == "decision" else one.get("name")
        for _, one in page.elements
        if one.get("name") in {"decision", "reason"}
    ]
    assert order == ["approve", "deny", "reason"]


def test_a_message_after_a_decision_cannot_be_made_up_in_the_address(tmp_path: Path) -> None:
    browser, _ = opened(story("awaiting_approval"), tmp_path)
    assert 'class="said"' not in browser.get("/i/INC-1?decided=Call+0800+for+help").text


@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
def test_without_the_sessions_own_token_nothing_is_decided(csrf: str, tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    answer = browser.post(DECISION, page.form("approve") | {"csrf": csrf})
    assert answer.status_code == 403
    assert store.tables["decision"] == []


def test_the_token_of_another_session_does_not_count(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    _, bobs = opened(store, tmp_path, "Bob")
    browser, page = opened(store, tmp_path)
    answer = browser.post(DECISION, page.form("approve") | {"csrf": bobs.form("approve")["csrf"]})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_a_form_from_elsewhere_is_not_read(headers: dict[str, str], tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    assert browser.post(DECISION, page.form("approve"), headers).status_code == 403
    assert store.tables["decision"] == []


def test_a_decision_that_comes_too_late_is_told_what_changed(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    store.tables["approval"][0].update(revision=2, digest="d" * 64)
    answer = browser.post(DECISION, page.form("approve"))
    text = Read(answer.text).text
    assert answer.status_code == 409
    assert "Your decision was not taken" in text
    assert "revision 1 2" in text
    assert "d" * 64 in text
    assert store.tables["decision"] == []


def test_a_second_click_is_a_conflict_and_starts_nothing(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    browser.post(DECISION, page.form("approve"))
    again = browser.post(DECISION, page.form("approve"))
    assert again.status_code == 409
    assert "already approved" in again.text
    assert len(store.tables["execution"]) == 1


def test_somebody_off_the_list_is_refused_and_the_attempt_is_on_record(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    _, page = opened(store, tmp_path)
    browser, own = opened(store, tmp_path, "Vera")
    logout = next(one["value"] for one in own.all("input") if one["name"] == "csrf")
    answer = browser.post(DECISION, page.form("approve") | {"csrf": logout})
    assert answer.status_code == 403
    assert "Vera is not on the approver list for orders-db" in answer.text
    assert store.tables["audit"][-1]["action"] == "DecisionRefused"


@pytest.mark.parametrize(
    "changed",
    [{"decision": "maybe"}, {"revision": "1; DROP"}, {"digest": "D" * 64}, {"digest": ""}, {"revision": "\u0661"}],
    ids=str,
)
def test_a_form_that_is_not_ours_decides_nothing(changed: dict[str, str], tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser, page = opened(store, tmp_path)
    assert browser.post(DECISION, page.form("approve") | changed).status_code == 400
    assert store.tables["decision"] == []


def test_a_form_larger_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    browser, page = opened(story("awaiting_approval"), tmp_path)
    assert browser.post(DECISION, page.form("deny") | {"reason": "x" * 70_000}).status_code == 413


def test_a_body_that_is_no_form_is_refused(tmp_path: Path) -> None:
    browser, _ = opened(story("awaiting_approval"), tmp_path)
    answer = browser.request("POST", DECISION, json={"decision": "approve"}, headers=OWN)
    assert answer.status_code == 415


def test_a_stranger_is_sent_to_the_login(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    _, page = opened(store, tmp_path)
    answer = Browser(context(store, tmp_path)).post(DECISION, page.form("approve"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/i/INC-1"
    assert store.tables["decision"] == []


def test_deciding_on_an_incident_without_a_fix_is_a_conflict(tmp_path: Path) -> None:
    _, page = opened(story("awaiting_approval"), tmp_path)
    browser, own = opened(story("investigating"), tmp_path)
    csrf = next(one["value"] for one in own.all("input") if one["name"] == "csrf")
    assert browser.post(DECISION, page.form("approve") | {"csrf": csrf}).status_code == 409
