from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runbook.files import digest
from connectors.runbooks import texts
from service.app import create
from service.pages.graph import graph
from service.pages.markdown import inert
from service.pages.recent import MOST, Recent
from tests.service.memory_store import NOW
from tests.service.pages_browser import Browser, Read
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.memory_store import MemoryStore

SEEDS = texts()

# --- Values a few seconds old ------------------------------------------------------------------------------------


def test_a_value_is_made_again_when_it_is_too_old() -> None:
    now, made = [0.0], [0]
    recent = Recent(clock=lambda: now[0])

    def make() -> int:
        made[0] += 1
        return made[0]

    assert [recent.get("a", 5, make), recent.get("a", 5, make)] == [1, 1]
    now[0] = 5.1
    assert recent.get("a", 5, make) == 2


def test_in_its_grace_an_old_value_is_given_while_a_new_one_is_made() -> None:
    now, made, done = [0.0], [0], threading.Event()
    recent = Recent(clock=lambda: now[0])

    def make() -> int:
        made[0] += 1
        if made[0] > 1:
            done.set()
        return made[0]

    assert recent.get("a", 5, make, grace_s=60) == 1
    now[0] = 6.0
    assert recent.get("a", 5, make, grace_s=60) == 1
    assert done.wait(20)
    while recent.get("a", 5, make, grace_s=60) != 2:  # the new value is set just after it was made
        pass
    now[0] = 6.0 + 5 + 61
    assert recent.get("a", 5, make, grace_s=60) == 3


def test_what_could_not_be_made_is_asked_for_again() -> None:
    recent = Recent()

    def fails() -> int:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        recent.get("a", 60, fails)
    assert recent.get("a", 60, lambda: 7) == 7


def test_many_who_ask_at_once_make_it_once() -> None:
    recent, made, gate = Recent(), [], threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        recent.get("a", 60, lambda: made.append(1))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert made == [1]


def test_no_number_of_keys_makes_the_memory_grow() -> None:
    recent = Recent()
    for key in range(3 * MOST):
        recent.get(key, 60, lambda: None)
    assert len(recent._entries) <= MOST


# --- Markdown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "![a](https://evil.example/x)", "[a](javascript:alert(1))", "[a](data:text/html,x)",
     "<b onclick=x>", "[a](https://x@evil.example)", "<https://evil.example> <javascript:alert(1)>", "\u202etxt"],
)  # fmt: skip
def test_markdown_from_anybody_is_inert(text: str) -> None:
    page = Read(inert(text))
    assert {name for name, _ in page.elements} <= {"p", "a"}
    assert all(one["href"].startswith("https://evil.example") for one in page.all("a"))
    assert "\u202e" not in page.text


@given(st.text(max_size=300))
def test_no_text_makes_an_element_that_markdown_does_not_know(text: str) -> None:
    known = {"p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "h2", "h3", "h4", "h5", "h6", "blockquote",
             "hr", "br", "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
    page = Read(inert(text))
    assert {name for name, _ in page.elements} <= known
    assert {key for _, attributes in page.elements for key in attributes} <= {"href", "title", "rel", "start", "class"}


# --- Graph -------------------------------------------------------------------------------------------------------


def ranked(**changes: Any) -> dict[str, Any]:
    ranking = {
        "paths": [["web", "api", "db"]],
        "services": [{"service": "db", "probability": 0.8}],
        "metrics": [{"service": "db", "metric": "cpu_cores", "before": 0.2, "during": 1.7}],
        "ruled_out": [{"service": "mail", "why": "its series stayed as they were"}],
    }
    return {"ranking": ranking | changes}


def test_effects_go_from_the_cause_to_the_alert_and_the_way_is_strong() -> None:
    found = graph(ranked(), [("web", "api"), ("api", "db"), ("web", "mail")])
    assert found is not None
    names = {node["id"]: node["name"] for node in found["nodes"]}
    edges = {(names[edge["from"]], names[edge["to"]]): edge["kind"] for edge in found["edges"]}
    assert edges == {("db", "api"): "strong", ("api", "web"): "strong", ("mail", "web"): "rejected"}
    assert [node["kind"] for node in found["nodes"]] == ["cause", "plain", "alert", "out"]


def test_without_a_path_there_is_no_graph_and_a_calling_service_is_its_own_end() -> None:
    assert graph(ranked(paths=[]), []) is None
    assert graph({"ranking": None}, []) is None
    alone = graph(ranked(paths=[["web"]], ruled_out=[], services=[]), [("web", "web")])
    assert alone is not None
    assert (len(alone["nodes"]), alone["edges"]) == (1, [])


# --- Compression -------------------------------------------------------------------------------------------------


def _encoding(held: Any, **headers: str) -> str | None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create(held))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get("/static/pages.css", headers={"Accept-Encoding": "gzip", **headers})

    found: str | None = asyncio.run(ask()).headers.get("content-encoding")
    return found


def test_what_another_site_asks_for_is_never_compressed(tmp_path: Path) -> None:
    held = context(story("received"), tmp_path)
    assert _encoding(held) == "gzip"
    assert _encoding(held, **{"Sec-Fetch-Site": "same-origin"}) == "gzip"
    assert _encoding(held, **{"Sec-Fetch-Site": "none"}) == "gzip"
    assert _encoding(held, **{"Sec-Fetch-Site": "cross-site"}) is None
    assert _encoding(held, **{"Sec-Fetch-Site": "same-site"}) is None
    assert _encoding(held, Cookie="stanch_session=x") is None


# --- Pages of their own ------------------------------------------------------------------------------------------


def opened(store: MemoryStore, folder: Path, person: str = "Ada") -> Browser:
    return Browser(context(store, folder)).log_in(person)


def test_the_audit_trail_is_searched_and_exported(tmp_path: Path) -> None:
    browser = opened(story("resolved"), tmp_path)
    page = Read(browser.get("/audit?q=approved").text).text
    assert "approved by Ada" in page
    assert "alert StorefrontSlow" not in page
    lines = browser.get("/audit/export?format=jsonl&incident=INC-1").text.splitlines()
    assert len(lines) == 7
    assert browser.get("/audit/export?format=csv").text.startswith("seq,at,incident,actor,action,note")
    assert "No row matches." in Read(browser.get("/audit?incident=nothing").text).text
    assert browser.get("/audit?since=not-a-day&until=9999-12-31").status_code == 200


@pytest.mark.parametrize("path", ["/audit", "/audit/chain", "/audit/export?format=csv", "/skills", "/incidents", "/",
                                  "/i/INC-1/edit", "/i/INC-1/postmortem/edit", "/i/INC-1/proposals/1"])  # fmt: skip
def test_strangers_read_nothing(path: str, tmp_path: Path) -> None:
    answer = Browser(context(story("awaiting_approval"), tmp_path)).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")


def test_the_filter_of_a_stranger_survives_the_login(tmp_path: Path) -> None:
    answer = Browser(context(story("received"), tmp_path)).get("/?days=7&service=web")
    assert answer.headers["location"] == "/login?next=/%3Fdays%3D7%26service%3Dweb"


def test_a_skill_has_its_text_and_an_unknown_one_helps(tmp_path: Path) -> None:
    browser = opened(story("resolved"), tmp_path)
    assert "is an index missing?" in Read(browser.get("/skills/postgres-missing-index").text).text
    answer = browser.get("/skills/nothing-like-it")
    assert (answer.status_code, "There is no such skill" in answer.text) == (404, True)


def test_an_older_revision_stays_readable_and_a_missing_one_says_so(tmp_path: Path) -> None:
    browser = opened(story("awaiting_approval"), tmp_path)
    assert "Proposed fix, revision 1" in Read(browser.get("/i/INC-1/proposals/1").text).text
    assert "has no revision 7" in Read(browser.get("/i/INC-1/proposals/7").text).text


def test_what_people_add_to_a_postmortem_has_versions_and_goes_into_the_file(tmp_path: Path) -> None:
    store = story("resolved")
    browser = opened(store, tmp_path)
    form = {one["name"]: one["value"] for one in Read(browser.get("/i/INC-1/postmortem/edit").text).all("input")
            if one.get("name") in {"csrf", "revision"}}  # fmt: skip
    address = "/i/INC-1/postmortem/edit"
    assert browser.post(address, {**form, "body": "## Impact\n\nTwo **minutes**."}).status_code == 303
    assert "Two minutes." in Read(browser.get("/i/INC-1/postmortem").text).text
    late = browser.post(address, {**form, "body": "mine"})
    assert (late.status_code, "Put the two together" in late.text) == (409, True)
    assert browser.post(address, {**form, "revision": "1", "body": "## Impact\n\nThree."}).status_code == 303
    changed = Read(browser.get("/i/INC-1/postmortem/2").text).text
    assert "gone: Two **minutes**." in changed
    assert "added: Three." in changed
    assert browser.get("/i/INC-1/postmortem.md").text.endswith("revision 2:\n\n## Impact\n\nThree.\n")
    assert store.tables["audit"][-1]["action"] == "PostmortemEdited"
    assert browser.post(address, {**form, "revision": "2", "body": ""}).status_code == 400
    assert browser.post(address, {"body": "x", "revision": "2"}).status_code == 403


def test_a_viewer_reads_a_postmortem_and_edits_nothing(tmp_path: Path) -> None:
    browser = opened(story("resolved"), tmp_path, "Vera")
    assert "Add to it" not in browser.get("/i/INC-1/postmortem").text
    assert browser.get("/i/INC-1/postmortem/edit").status_code == 403


def test_an_edit_that_is_no_action_leaves_what_waits(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    browser = opened(store, tmp_path)
    page = Read(browser.get("/i/INC-1/edit").text)
    form = {one["name"]: one.get("value", "") for one in page.all("input") if one.get("name", "q") != "q"}
    answer = browser.post("/i/INC-1/edit", {**form, "param.columns": "", "param.table": "orders"})
    assert answer.status_code == 422
    assert store.tables["approval"][0]["state"] == "pending"
    stale = browser.post("/i/INC-1/edit", {**form, "param.columns": "placed_at", "digest": "0" * 64})
    assert stale.status_code == 409


def test_nothing_that_does_not_wait_is_edited(tmp_path: Path) -> None:
    browser = opened(story("resolved"), tmp_path)
    assert browser.get("/i/INC-1/edit").status_code == 409


def test_a_policy_that_takes_no_approval_here_says_where(tmp_path: Path) -> None:
    store = story("awaiting_approval")
    store.tables["proposal"][0]["proposed_by"] = "Ada"
    page = Read(opened(store, tmp_path).get("/i/INC-1").text)
    assert "You edited this fix, so somebody else has to approve it." in page.text
    assert "approve" not in {one.get("id") for one in page.all("button")}


def _versions(store: MemoryStore, *texts: str, promoted: int) -> None:
    """Versions of one skill with these lessons, each made from the one before."""
    name, parent = "postgres-locks", None
    for number, text in enumerate(texts, 1):
        files = {**SEEDS[name], "references/lessons.yaml": text}
        store.tables["skill_version"].append(
            {"name": name, "version": number, "sha256": digest(files), "files": files, "parent": parent,
             "source": "learn" if parent else "seed", "note": f"note {number}", "created_at": NOW}
        )  # fmt: skip
        parent = digest(files)
        if number <= promoted:
            store.tables["skill_promotion"].append(
                {"name": name, "sha256": parent, "version": number, "person": "Ada", "at": NOW}
            )


def test_a_skill_shows_its_versions_and_what_the_last_change_was(tmp_path: Path) -> None:
    store = story("resolved")
    _versions(store, "lessons: []\n", "lessons: [one]\n", "lessons: [<b>two]\n", promoted=2)
    browser = opened(store, tmp_path)
    page = Read(browser.get("/skills/postgres-locks").text).text
    assert "Version 1 to 2" in page
    assert "-lessons: []" in page
    assert "+lessons: [one]" in page
    assert "came into use" in page
    later = browser.get("/skills/postgres-locks?before=1&after=3").text
    assert "Version 1 to 3" in later
    assert "<b>two" not in later
    assert "learned" in Read(browser.get("/skills").text).text


@pytest.mark.parametrize("query", ["?after=9", "?before=x&after=-1", "?after=1"])
def test_a_version_that_is_not_there_is_no_error(query: str, tmp_path: Path) -> None:
    store = story("resolved")
    _versions(store, "lessons: []\n", promoted=1)
    assert opened(store, tmp_path).get(f"/skills/postgres-locks{query}").status_code == 200
