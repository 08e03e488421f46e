from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml
from fastapi import HTTPException
from pydantic import SecretStr
from starlette.requests import Request

from connectors.pagerduty.memory import Account
from connectors.unreachable import Unreachable
from service.routes.webhooks.door import read_body
from tests.service.app_world import BEARER, CONFIGURATION, App, app_on
from tests.service.incident_world import firing, notification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration

ACCOUNT = Account()
SOURCES = {
    "sources": {
        "nagios": {"kind": "generic", "mapping": {"alertname": "check"}},
        "zabbix": {"kind": "generic", "mapping": {"alertname": "name"}},
        "slow-one": {"kind": "alertmanager", "posts_per_s": 0.001},
    }
}
SECRETS = {
    "alertmanager_tokens": "old-hook-token,new-hook-token,slow-one:slow",
    "pagerduty_secrets": f"{ACCOUNT.secrets[0]},another",
    "grafana_tokens": "grafana-token",
    "generic_tokens": "nagios:n,zabbix:z",
    "changes_tokens": "ci",
}
PAGERDUTY = "/webhooks/pagerduty"


@pytest.fixture(scope="module")
def every(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """With every hook on."""
    place = tmp_path_factory.mktemp("sources")
    config = place / "sources.yaml"
    config.write_text(yaml.safe_dump({**CONFIGURATION, **SOURCES}), encoding="utf-8")
    made = app_on(database, place, config=config, **{name: SecretStr(value) for name, value in SECRETS.items()})
    yield made
    made.held.doors.inbox.close()
    made.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def row(database: Database, answer: Any) -> tuple[str, bytes]:
    receipt = UUID(answer.json()["receipt"])
    ((source, body),) = database.run("SELECT source, body FROM stanch.inbox WHERE receipt = %s", (receipt,))
    return source, bytes(body)


def refusals(app: App, database: Database) -> list[tuple[str, str, int]]:
    """What the loop would write every few seconds."""
    app.held.doors.refusals.flush(app.held.ports.store)
    return database.run(
        "SELECT data ->> 'hook', data ->> 'note', (data ->> 'times')::int FROM stanch.audit "
        "WHERE actor = 'hooks' ORDER BY id"
    )


# --- PagerDuty ---------------------------------------------------------------------------------------------------


def test_a_signed_event_is_stored_as_it_came(every: App, database: Database) -> None:
    body = ACCOUNT.event("incident.triggered")
    answer = every.ask("POST", PAGERDUTY, headers=ACCOUNT.headers(body), content=body)
    assert answer.status_code == 202
    assert row(database, answer) == ("pagerduty", body)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[" * 5000, b'{"event": {"event_type": "not.known.yet"}}', b"\xff", b'{"a": 1, "a": 2}']
)
def test_whatever_is_validly_signed_is_answered_202(every: App, body: bytes) -> None:
    """Three 4xx in a row would switch the subscription off for a day."""
    headers = {**ACCOUNT.headers(body), "Content-Encoding": "gzip", "Content-Type": "text/odd"}
    assert every.ask("POST", PAGERDUTY, headers=headers, content=body).status_code == 202


def test_a_repetition_gets_the_first_receipt(every: App, database: Database) -> None:
    body = ACCOUNT.event("pagey.ping")
    first = every.ask("POST", PAGERDUTY, headers=ACCOUNT.headers(body, delivery="d-1"), content=body)
    again = every.ask("POST", PAGERDUTY, headers=ACCOUNT.headers(body, delivery="d-1"), content=body)
    replayed = every.ask("POST", PAGERDUTY, headers=ACCOUNT.headers(body, delivery="d-2"), content=body)
    assert first.json() == again.json() == replayed.json()
    assert {answer.status_code for answer in (first, again, replayed)} == {202}
    assert (PAGERDUTY, "a repetition of an event that is stored", 2) in refusals(every, database)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "v1",
        "v1=",
        "v1=zz",
        "v1=" + "0" * 64,
        "v2=" + "0" * 64,
        b"v1=\xff\xfe",
        "v1=\u20ac".encode(),
        "," * 999,
    ],
)
def test_without_a_good_signature_it_is_401_and_nothing_is_stored(
    every: App, database: Database, signature: str | bytes | None
) -> None:
    ((before,),) = database.run("SELECT count(*) FROM stanch.inbox")
    headers = {} if signature is None else {"X-PagerDuty-Signature": signature}
    assert every.ask("POST", PAGERDUTY, headers=headers, content=b"{}").status_code == 401
    assert database.run("SELECT count(*) FROM stanch.inbox") == [(before,)]


def test_an_event_larger_than_pagerduty_sends_is_413(every: App) -> None:
    body = b"x" * (1024 * 1024 + 1)
    assert every.ask("POST", PAGERDUTY, headers=ACCOUNT.headers(body), content=body).status_code == 413


# --- The others --------------------------------------------------------------------------------------------------


def test_each_hook_takes_its_own_token_and_no_other(every: App, database: Database) -> None:
    places = {
        "/webhooks/grafana": ("grafana-token", "grafana"),
        "/webhooks/generic/nagios": ("n", "nagios"),
        "/webhooks/generic/zabbix": ("z", "zabbix"),
        "/webhooks/changes": ("ci", "changes"),
        "/webhooks/alertmanager": ("new-hook-token", "alertmanager"),
    }
    tokens = {token for token, _ in places.values()}
    for path, (mine, source) in places.items():
        for token in tokens:
            answer = every.ask("POST", path, headers=bearer(token), content=b"{}")
            also = path == "/webhooks/changes" and token == "new-hook-token"
            assert answer.status_code == (202 if token == mine or also else 401), (path, token)
            if token == mine:
                assert row(database, answer)[0] == source


def test_grafana_may_sign_instead(every: App, database: Database) -> None:
    body = b'{"version": "1"}'
    made = hmac.new(b"grafana-token", body, hashlib.sha256).hexdigest()
    good = every.ask("POST", "/webhooks/grafana", headers={"X-Grafana-Alerting-Signature": made}, content=body)
    assert (good.status_code, row(database, good)) == (202, ("grafana", body))
    bad = every.ask("POST", "/webhooks/grafana", headers={"X-Grafana-Alerting-Signature": made}, content=body + b" ")
    assert bad.status_code == 401


@pytest.mark.parametrize("source", ["nobody", "alertmanager", "slow-one", "%2e%2e", "\u202e", "a" * 41, "nagios/x"])
def test_a_generic_source_that_nobody_declared_is_not_there(every: App, source: str) -> None:
    answer = every.ask("POST", f"/webhooks/generic/{source}", headers=bearer("n"), content=b"{}")
    assert answer.status_code in {404, 422}


def test_posting_to_a_source_that_is_not_there_is_in_the_audit(every: App, database: Database) -> None:
    every.ask("POST", "/webhooks/generic/nobody", headers=bearer("n"), content=b"{}")
    assert any(one[:2] == ("/webhooks/generic/nobody", "no such source") for one in refusals(every, database))


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/plain",
        "multipart/form-data",
    ],
)
def test_what_a_body_says_it_is_decides_nothing_and_is_kept(
    every: App, database: Database, declared: str | None
) -> None:
    headers = BEARER if declared is None else {**BEARER, "Content-Type": declared}
    body = notification(firing("ct"), key="ct")
    answer = every.ask("POST", "/webhooks/alertmanager", headers=headers, content=body)
    assert answer.status_code == 202
    kept = database.run(
        "SELECT body, headers ->> 'content-type' FROM stanch.inbox WHERE receipt = %s",
        (UUID(answer.json()["receipt"]),),
    )
    assert [(bytes(stored), said) for stored, said in kept] == [(body, declared)]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", "zstd"])
def test_a_compressed_body_is_415_and_never_unpacked(every: App, encoding: str) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    headers = {**BEARER, "Content-Encoding": encoding}
    answer = every.ask("POST", "/webhooks/alertmanager", headers=headers, content=bomb)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["detail"]


def test_beyond_its_budget_a_source_is_503_and_the_others_are_not(every: App) -> None:
    body = notification(firing("b1"), key="k")
    codes = [every.ask("POST", "/webhooks/alertmanager", headers=bearer("slow"), content=body) for _ in range(3)]
    assert [answer.status_code for answer in codes] == [202, 503, 503]
    assert codes[1].headers["retry-after"] == "1"
    assert every.ask("POST", "/webhooks/alertmanager", headers=BEARER, content=body).status_code == 202


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/webhooks/pagerduty", "STANCH_PAGERDUTY_SECRETS"),
        ("/webhooks/grafana", "STANCH_GRAFANA_TOKENS"),
        ("/webhooks/generic/nagios", "STANCH_GENERIC_TOKENS"),
    ],
)
def test_a_hook_that_is_off_says_what_to_set(app: App, path: str, setting: str) -> None:
    answer = app.ask("POST", path, headers=BEARER, content=b"{}")
    assert answer.status_code == 404
    assert setting in answer.json()["detail"]


def test_what_was_turned_away_is_in_the_audit_once_with_its_number(every: App, database: Database) -> None:
    refusals(every, database)
    for _ in range(7):
        every.ask("POST", "/webhooks/alertmanager", headers=bearer("wrong"), content=b"{}")
    found = [
        one for one in refusals(every, database) if one[:2] == ("/webhooks/alertmanager", "wrong or missing token")
    ]
    assert found[-1][2] == 7


def test_refusals_wait_for_a_store_that_is_away(fresh_database: Database, tmp_path: Any) -> None:
    app = app_on(fresh_database, tmp_path)
    try:
        with fresh_database.away():
            app.ask("POST", "/webhooks/alertmanager", headers=bearer("wrong"), content=b"{}")
            with pytest.raises(Exception, match="store"):
                app.held.doors.refusals.flush(app.held.ports.store)
        _until_back(app)
        assert [times for _, _, times in refusals(app, fresh_database)] == [1]
    finally:
        app.close()


def _until_back(app: App) -> None:
    """A pool that was away looks again after seconds, longer each time."""
    for _ in range(20):
        with contextlib.suppress(Unreachable), app.held.ports.store.transaction() as tx:
            tx.now()
            return
    raise AssertionError("the store does not come back")


# --- Bodies that do not come -------------------------------------------------------------------------------------


def request(app: App, *messages: dict[str, Any] | float) -> Request:
    """A number is how long the sender waits."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        one = left.pop(0)
        if isinstance(one, float):
            await asyncio.sleep(one)
            return {"type": "http.disconnect"}
        return one

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "client": ("192.0.2.1", 1), "app": app.app}
    return Request(scope, receive)


def part(body: bytes) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": True}


def test_a_body_that_comes_too_slowly_is_408(every: App, database: Database) -> None:
    slow = request(every, part(b"{"), 30.0)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(slow, every.held, within_s=0.05))
    assert refused.value.status_code == 408
    assert ("/x", "the body came too slowly", 1) in refusals(every, database)


def test_a_sender_who_hangs_up_is_no_error_of_ours(every: App) -> None:
    gone = request(every, part(b"{"), {"type": "http.disconnect"})
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(gone, every.held))
    assert refused.value.status_code == 400


def test_the_openapi_document_has_every_hook(every: App) -> None:
    document = every.ask("GET", "/openapi.json").json()
    hooks = {path for path in document["paths"] if path.startswith("/webhooks/")}
    assert hooks == {"/webhooks/alertmanager", "/webhooks/pagerduty", "/webhooks/grafana", "/webhooks/changes",
                     "/webhooks/generic/{source}"}  # fmt: skip
    assert json.dumps(document)
