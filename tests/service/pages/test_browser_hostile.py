"""What comes from outside, on every page and in every file: it is read, and does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import SecretStr

from agent.memory.case import PastCase, case_of
from tests.agent.memory.posts import post
from tests.service.memory_store import NOW, MemoryStore
from tests.service.pages.site import CODE, Site
from tests.service.pages_examples import context, story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

SQL_COMMENT = "/* </code></pre><script>window.hacked=1</script> */ -- \u202e\u2066"
TEXTS = (
    "<img src=https://evil.example/x onerror=window.hacked=1><svg onload=window.hacked=1>",
    '</title></script></textarea><script>window.hacked=1</script>" autofocus onfocus="window.hacked=1',
    "{{ 7 * 7 }} [a](javascript:window.hacked=1) ![b](https://evil.example/y) <javascript:window.hacked=1>",
    "\u202egnp.exe\u2066\u200b\u2028 \U0001f4a5\U0001f469\u200d\U0001f692 " * 20,
    "A" * 100_000,
)
PROTOCOLS = "all => all.map((one) => new URL(one.getAttribute('href'), location.href).protocol)"
INVISIBLE = frozenset("\u202e\u2066\u200b\u200d\u2028\x00\x1b")
PAGES = (
    "/", "/incidents", "/i/INC-1", "/i/INC-3", "/i/INC-3/edit", "/i/INC-3/proposals/1", "/i/INC-1/postmortem",
    "/i/INC-1/postmortem/edit", "/i/INC-1/postmortem/1", "/audit", "/skills", "/skills/postgres-missing-index",
    "/settings", "/quarantine", "/api/v1/ttr?days=30",
)  # fmt: skip
FILES = ("/api/v1/ttr.csv?days=30", "/audit/export?format=csv", "/audit/export?format=jsonl", "/i/INC-1/postmortem.md")


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its skills, too, say all of it."""
    store = MemoryStore()
    held = context(store, tmp_path_factory.mktemp("hostile"), dev_login=SecretStr(f"{CODE}:Ada"),
                   alertmanager_url="http://alertmanager.example",
                   alertmanager_tokens=SecretStr("a-token-of-the-tests"))  # fmt: skip
    everything = "\n\n".join(text[:3000] for text in TEXTS)
    skills = {
        name: replace(skill, description=everything, body=everything, version=TEXTS[0],
                      causes={one: replace(cause, title=TEXTS[1]) for one, cause in skill.causes.items()})
        for name, skill in held.ports.skills.items()
    }  # fmt: skip
    ports = replace(held.ports, skills=skills)
    admin = replace(held.identities, people={"Ada": frozenset({"admin", "approver"})})
    with Site(replace(held, ports=ports, identities=admin), store).running() as running:
        yield running


@pytest.fixture(scope="module")
def admin(chromium: Browser, hostile_site: Site) -> Iterator[BrowserContext]:
    held = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    hostile_site.show(MemoryStore())
    page = held.new_page()
    page.goto(hostile_site.login("/skills"))
    page.close()
    yield held
    held.close()


@pytest.fixture
def page(admin: BrowserContext) -> Iterator[Page]:
    opened = admin.new_page()
    yield opened
    opened.close()


def spoilt(text: str) -> MemoryStore:
    """One incident that is over and one that waits; whatever comes from outside or from people says this."""
    store = story("resolved", incident=1)
    story("awaiting_approval", incident=3, store=store)
    tables = store.tables
    store.add("change", service=text, version=text, summary=text, at=NOW.replace(minute=4))
    store.add("postmortem_edit", incident_id=1, revision=1, person=text, body=text[:3000], at=NOW)
    store.add("quarantined", id=1, receipt="r-1", source=text, reason=text, received_at=NOW, bytes=1)
    store.add("api_token", id=1, label=text[:100], person="Ada", sha256="0" * 64, created_at=NOW, revoked_at=None)
    store.add("integration", name=f"alertmanager {text}", ok=False, says=text, age_s=3.0)
    store.add(
        "target_access",
        target="orders-db",
        connection="diagnose",
        ok=True,
        age_s=3.0,
        detail={"server_version_num": 150018, "database": text, "not_visible": [{"what": text, "why": text}]},
    )
    tables["control"][0].update(paused=True, person=text, reason=text)
    for row in tables["incident"]:
        row.update(service=text, title=text, severity=text, labels={"alertname": text, text: text})
        row["working"]["why"] = text
        row["working"]["conclusion"].update(cause="something_else", title=text)
    for row in tables["alert"]:
        row.update(labels={"alertname": text, text: text}, annotations={"summary": text, text: text},
                   generator_url=text)  # fmt: skip
    for row in tables["evidence"]:
        row["summary"] = text
    for row in tables["audit"]:
        row["actor"], row["action"] = text, text[:300]
        row["data"] |= {"note": text, "reason": text, "channel": text, "from": text[:300], "to": text[:300]}
    for row in tables["decision"]:
        row.update(person=text, reason=text)
    for row in tables["process"]:
        row["kind"] = text
    tables["execution"][0]["result"]["detail"] = text
    tables["postmortem"][0]["body"].update(title=text, service=text, verification=text, self_critique=[text])
    _spoil_proposal(tables["proposal"][1], text)
    past(store, text)
    return store


def _spoil_proposal(row: dict[str, Any], text: str) -> None:
    row.update(
        command=f"{row['command']} {SQL_COMMENT} /* {text[:9000]} */", rollback=f"{row['rollback']} {SQL_COMMENT}"
    )
    row["params"] = {**row["params"], "table": text[:200], "columns": [text[:200]]}
    row["facts"]["not_visible"] = [{"what": text, "why": text}]
    row["verdict"]["findings"] = [{"rule": "r", "level": "warn", "why": text, "fix": text}]


def past(store: MemoryStore, text: str) -> PastCase:
    case = replace(case_of(post(40), NOW), alertname=text, service=text, title=text, found_by=(text,))
    store.add("past_case", incident_id=40, alertname=text, service=text, cause=case.cause,
              body=orjson.loads(orjson.dumps(case.as_data())))  # fmt: skip
    return case


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_whatever_it_says_it_is_text_on_every_page(text: str, hostile_site: Site, page: Page) -> None:
    hostile_site.show(spoilt(text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for path in PAGES:
        answer = page.goto(hostile_site.url + path)
        assert answer is not None
        assert answer.status == 200, path
        _nothing_happened(page, path)
    assert {url for url in asked if not url.startswith((hostile_site.url, "data:"))} == set()


def _nothing_happened(page: Page, path: str) -> None:
    assert page.evaluate("window.hacked") is None, path
    assert page.locator("img, iframe, object, embed, svg [onload], [onfocus], [onerror]").count() == 0, path
    hrefs = page.locator("a[href]").evaluate_all(PROTOCOLS)
    assert set(hrefs) <= {"http:", "https:"}, path
    if path.startswith("/api/"):
        return
    seen = page.evaluate("document.body.innerText + document.title + "
                         "[...document.querySelectorAll('[title], [aria-label]')].map((one) => one.title + "
                         "one.ariaLabel).join()")  # fmt: skip
    assert not INVISIBLE & set(seen), path
    assert "49" not in page.title(), path
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width, path


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_it_is_saved_and_never_shown_as_a_page(path: str, hostile_site: Site, admin: BrowserContext) -> None:
    hostile_site.show(spoilt(TEXTS[1]))
    answer = admin.request.get(hostile_site.url + path)
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "html" not in answer.headers["content-type"]


def test_what_is_sent_to_an_open_page_is_text_too(hostile_site: Site, page: Page) -> None:
    hostile_site.show(story("awaiting_approval"))
    page.goto(f"{hostile_site.url}/i/INC-1")
    store = spoilt(TEXTS[0])
    store.add("audit", id=99, at=NOW, incident_id=1, actor=TEXTS[0], action="x", seq=None, hash=None,
              data={"note": f"{TEXTS[0]} the last"})  # fmt: skip
    hostile_site.show(store)
    hostile_site.tell()
    page.locator(".timeline", has_text="the last").wait_for()
    _nothing_happened(page, "/i/INC-1")
