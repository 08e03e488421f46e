from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from service.configuration import Receiver
from service.routes.settings_page import MOST_TOKENS
from tests.service.app_world import HOOK_TOKENS, App, app_on
from tests.service.incident_world import KEY
from tests.service.pages_browser import Browser, Read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from service.settings import Settings
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration
SEEN = {"server_version_num": 150018, "database": "<b>shop", "not_visible": [{"what": "3 sessions", "why": "x"}]}
ADA, RHEA, VIC, MAX = "ada@example.com", "rhea@example.com", "vic@example.com", "max@example.com"


@pytest.fixture
def app(fresh_world: World, tmp_path: Path) -> Iterator[App]:
    made = app_on(fresh_world.database, tmp_path)
    yield made
    made.close()


def as_person(app: App, person: str) -> Browser:
    browser = Browser(app.held)
    assert browser.post("/login", {"token": app.tokens[person], "next": "/settings"}).status_code == 303
    return browser


def csrf(browser: Browser) -> str:
    fields = Read(browser.get("/settings").text).all("input")
    return next(one["value"] for one in fields if one.get("name") == "csrf")


def paused(app: App) -> bool:
    with app.held.ports.store.transaction() as tx:
        row = tx.one("control")
    assert row is not None
    return bool(row["paused"])


def test_the_page_says_what_is_on_and_what_would_turn_the_rest_on(app: App) -> None:
    text = Read(as_person(app, VIC).get("/settings").text).text
    assert "/webhooks/alertmanager on, 2 secrets" in text
    assert "set STANCH_PAGERDUTY_SECRETS" in text
    assert "STANCH_SLACK_BOT_TOKEN turns it on" in text
    assert "ada@example.com every target" in text
    assert "high 2 needed api, dashboard" in text
    assert "shop Mode act, environment production diagnose (looks, read only) not configured" in text


def test_no_secret_is_on_the_page(app: App) -> None:
    html = as_person(app, ADA).get("/settings").text
    for secret in (*HOOK_TOKENS, KEY.text(), app.tokens[ADA], app.held.settings.require("store_dsn")):
        assert secret not in html


def test_a_target_that_somebody_looked_at_says_what_it_is(app: App, fresh_world: World) -> None:
    fresh_world.database.run(
        "INSERT INTO stanch.target_access (target, connection, ok, detail) VALUES ('shop', 'diagnose', true,"
        " %s::jsonb)",
        (json.dumps(SEEN),),
    )
    app.held.ports.configuration.targets["shop"].__dict__["diagnose_dsn_file"] = app.held.settings.config
    html = as_person(app, VIC).get("/settings").text
    assert "PostgreSQL 15.18, &lt;b&gt;shop" in html
    assert "not visible: 3 sessions: x" in html


def test_a_responder_stops_everything_and_an_approver_lets_it_go_on(app: App) -> None:
    responder, approver = as_person(app, RHEA), as_person(app, ADA)
    stop = {"csrf": csrf(responder), "reason": "failover"}
    assert responder.post("/settings/pause", stop).headers["location"] == "/settings"
    assert paused(app)
    assert "Paused by rhea@example.com: failover" in Read(responder.get("/settings").text).text
    assert responder.post("/settings/resume", {"csrf": csrf(responder)}).status_code == 403
    assert paused(app)
    assert approver.post("/settings/resume", {"csrf": csrf(approver)}).status_code == 303
    assert not paused(app)


def test_a_viewer_or_a_form_of_another_session_stops_nothing(app: App) -> None:
    viewer, responder = as_person(app, VIC), as_person(app, RHEA)
    assert viewer.post("/settings/pause", {"csrf": csrf(viewer), "reason": "x"}).status_code == 403
    assert responder.post("/settings/pause", {"csrf": csrf(viewer), "reason": "x"}).status_code == 403
    own = {"csrf": csrf(responder), "reason": "x"}
    assert responder.post("/settings/pause", own, {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert responder.post("/settings/pause", {"csrf": csrf(responder), "reason": " "}).status_code == 400
    assert not paused(app)


def answering(said: list[str], *, ok: bool) -> Callable[[Settings, str], tuple[bool, str]]:
    def send(_settings: Settings, name: str) -> tuple[bool, str]:
        said.append(name)
        return ok, "posted, stored, <b>taken in</b>"

    return send


@pytest.mark.parametrize("ok", [True, False])
def test_an_admin_sends_a_test_and_reads_what_came_back(app: App, *, ok: bool) -> None:
    said: list[str] = []
    app.held.identities.people["ada@example.com"] = frozenset({"admin"})  # type: ignore[index]
    admin = Browser(replace(app.held, send_test=answering(said, ok=ok)))
    admin.post("/login", {"token": app.tokens[ADA], "next": "/settings"})
    form = {"csrf": csrf(admin), "name": "alertmanager"}
    whole = admin.post("/settings/test", form)
    part = admin.post("/settings/test", form, {"X-Fragment": "1"})
    for answer in (whole, part):
        assert ("It works" if ok else "It does not work") in answer.text
        assert "&lt;b&gt;taken in" in answer.text
    assert "<html" not in part.text
    assert said == ["alertmanager", "alertmanager"]
    assert admin.post("/settings/test", {"csrf": csrf(admin), "name": "nothing"}).status_code == 400
    assert admin.post("/settings/test", {"csrf": "x", "name": "alertmanager"}).status_code == 403
    assert len(said) == 2


def told(world: World, receiver: str, state: str, attempts: int, error: str | None) -> None:
    world.database.run(
        "WITH row AS (INSERT INTO stanch.audit (actor, action, data) VALUES ('test', 'test', '{}') RETURNING id)"
        " INSERT INTO stanch.notice (audit_id, type, receiver, body, state, attempts, error, ended_at)"
        " SELECT id, 'incident.closed', %s, '{}', %s, %s, %s, clock_timestamp() FROM row",
        (receiver, state, attempts, error),
    )


def test_who_is_told_what_happens_is_named_with_what_became_of_it_and_can_be_sent_a_test(
    app: App, fresh_world: World
) -> None:
    admin = as_person(app, MAX)
    app.held.ports.configuration.notices.extend(
        Receiver(name=name, url=f"https://{name}.example/a-secret-path") for name in ("bus", "late", "gone")
    )
    app.held.settings.__dict__["apprise_urls"] = SecretStr("json://user:hidden@notices.example")
    assert "Notices to bus, late, gone, apprise: on" in Read(admin.get("/settings").text).text
    told(fresh_world, "webhook:bus", "gave_up", 9, "HTTP 500")
    told(fresh_world, "webhook:bus", "delivered", 1, None)
    told(fresh_world, "webhook:bus", "waiting", 0, None)
    told(fresh_world, "webhook:late", "delivered", 1, None)
    told(fresh_world, "webhook:late", "waiting", 2, "late: <b>HTTP 503")
    told(fresh_world, "webhook:gone", "gave_up", 9, "gone: HTTP 410")
    html = admin.get("/settings").text
    text = re.sub(r"[0-9.]+ s ago", "now", Read(html).text)
    assert "bus answers, now: took incident.closed" in text
    assert "late does not work, now: 1 not taken yet, tried again later: late: <b>HTTP 503" in text
    assert "gone does not work, now: incident.closed was given up: gone: HTTP 410" in text
    assert "apprise answers" not in text
    assert 'aria-label="Send a test through notices"' in html
    assert "a-secret-path" not in html
    assert "hidden@" not in html


def test_nobody_is_told_anything_and_no_test_is_offered_until_somebody_is_named(app: App) -> None:
    html = as_person(app, MAX).get("/settings").text
    assert (
        "Notices: off; a receiver under notices in stanch.yaml, or STANCH_APPRISE_URLS, turns it on" in Read(html).text
    )
    assert "test-notices" not in html


def test_only_an_admin_sends_a_test(app: App) -> None:
    said: list[str] = []
    approver = Browser(replace(app.held, send_test=answering(said, ok=True)))
    approver.post("/login", {"token": app.tokens[ADA], "next": "/settings"})
    assert "Send test" not in approver.get("/settings").text
    assert approver.post("/settings/test", {"csrf": csrf(approver), "name": "alertmanager"}).status_code == 403
    assert said == []


def test_each_way_to_a_target_says_whether_it_works(app: App, fresh_world: World) -> None:
    target = app.held.ports.configuration.targets["shop"]
    for way, ok, detail in (("signal", True, SEEN), ("admin", False, {"why": "shop: no password"})):
        fresh_world.database.run(
            "INSERT INTO stanch.target_access (target, connection, ok, detail) VALUES ('shop', %s, %s, %s::jsonb)",
            (way, ok, json.dumps(detail)),
        )
        target.__dict__[f"{way}_dsn_file"] = app.held.settings.config
    text = Read(as_person(app, VIC).get("/settings").text).text
    assert "signal (ends sessions of others) answers: PostgreSQL 15.18" in text
    assert "admin (changes settings of the server) does not answer: shop: no password" in text


def test_what_the_watchdog_saw_is_shown_beside_what_it_looked_at(fresh_world: World, tmp_path: Path) -> None:
    app = app_on(fresh_world.database, tmp_path, alertmanager_url="http://127.0.0.1:1")
    with app.held.ports.store.transaction() as tx:
        tx.run("set_integration", name="alertmanager", ok=False, says="no route to host")
    text = Read(as_person(app, VIC).get("/settings").text).text
    assert "Alertmanager silences: on alertmanager does not work," in text
    assert "no route to host" in text
    app.close()


def test_a_token_made_here_works_is_shown_once_and_ends_when_it_is_revoked(app: App, fresh_world: World) -> None:
    browser = as_person(app, ADA)
    made = browser.post("/settings/tokens", {"csrf": csrf(browser), "label": "<i>laptop"})
    assert "&lt;i&gt;laptop" in made.text
    token = made.text.split('tabindex="0">stn_')[1].split("<")[0]
    bearer = {"Authorization": f"Bearer stn_{token}"}
    assert app.ask("GET", "/api/v1/incidents", headers=bearer).status_code == 200
    assert token not in browser.get("/settings").text
    ((stored,),) = fresh_world.database.run("SELECT to_jsonb(t)::text FROM stanch.api_token t")
    assert token not in stored
    other = as_person(app, RHEA)
    assert other.post("/settings/tokens/revoke", {"csrf": csrf(other), "id": "1"}).status_code == 303
    assert app.ask("GET", "/api/v1/incidents", headers=bearer).status_code == 200
    browser.post("/settings/tokens/revoke", {"csrf": csrf(browser), "id": "1"})
    assert app.ask("GET", "/api/v1/incidents", headers=bearer).status_code == 401


def test_somebody_cannot_make_tokens_without_end(app: App) -> None:
    browser = as_person(app, VIC)
    field = csrf(browser)
    codes = [
        browser.post("/settings/tokens", {"csrf": field, "label": "x"}).status_code for _ in range(MOST_TOKENS + 1)
    ]
    assert codes == [200] * MOST_TOKENS + [409]


def test_a_session_is_kept_in_the_store_and_a_logout_ends_it_there(app: App, fresh_world: World) -> None:
    browser = as_person(app, ADA)
    copied = dict(browser.cookies)
    assert browser.post("/logout", {"csrf": csrf(browser)}).status_code == 303
    browser.cookies.update(copied)
    assert browser.get("/settings").status_code == 303
    assert fresh_world.database.run("SELECT count(*) FROM stanch.session WHERE ended_at IS NULL") == [(0,)]
