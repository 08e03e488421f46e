from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.app import HEADERS
from service.routes.webhooks import MAX_BODY_BYTES
from tests.service.app_world import BEARER, HOOK_TOKENS, App, app_on
from tests.service.incident_world import firing, notification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.connectors.store.database import Database
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration
BODY = notification(firing("aa"), key="k")
HOOKS = ("/webhooks/alertmanager", "/webhooks/changes")


def stored(database: Database) -> int:
    ((rows, steps),) = database.run(
        "SELECT (SELECT count(*) FROM stanch.inbox), (SELECT count(*) FROM stanch.step WHERE kind = 'intake')"
    )
    assert rows == steps
    return int(rows)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_answers_202_with_a_receipt_of_the_row_that_is_there(app: App, database: Database, hook: str) -> None:
    answer = app.ask("POST", hook, headers={**BEARER, "User-Agent": "Alertmanager/0.28"}, content=BODY)
    assert answer.status_code == 202
    receipt = answer.json()["receipt"]
    ((body, source, agent, state),) = database.run(
        "SELECT body, source, headers ->> 'user-agent', state FROM stanch.inbox WHERE receipt = %s", (UUID(receipt),)
    )
    assert (bytes(body), source, agent, state) == (BODY, hook.rpartition("/")[2], "Alertmanager/0.28", "stored")


def test_what_a_hook_stored_becomes_an_incident(app: App, world: World) -> None:
    key = world.group()
    app.ask("POST", HOOKS[0], headers=BEARER, content=notification(firing("ab"), key=key))
    for step in world.agent.store.due(("agent",), grace_s=0.0):
        world.agent.run(step)
    assert len(world.incidents_of(key)) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {HOOK_TOKENS[0]}",
        HOOK_TOKENS[0],
        HOOK_TOKENS[0][:-1],
        f"Bearer {HOOK_TOKENS[0]},{HOOK_TOKENS[1]}",
        "Bearer t\xf6ken".encode("latin-1"),
        b"Bearer \xff\xfe",
        "Bearer \u20ac".encode(),
    ],
)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_wrong_or_missing_token_is_401_and_stores_nothing(
    app: App, database: Database, hook: str, authorization: str | bytes | None
) -> None:
    before = stored(database)
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = app.ask("POST", hook, headers=headers, content=BODY)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert stored(database) == before


@pytest.mark.parametrize("token", HOOK_TOKENS)
def test_both_tokens_hold_during_a_rotation(app: App, token: str) -> None:
    answer = app.ask("POST", HOOKS[0], headers={"Authorization": f"bearer {token}"}, content=BODY)
    assert answer.status_code == 202


@pytest.mark.parametrize("declared", [str(MAX_BODY_BYTES + 1), "9" * 5000])
def test_a_body_that_says_it_is_too_large_is_413_unread(app: App, database: Database, declared: str) -> None:
    before = stored(database)
    answer = app.ask("POST", HOOKS[0], headers={**BEARER, "Content-Length": declared}, content=BODY)
    assert answer.status_code == 413
    assert stored(database) == before


def test_a_body_that_does_not_say_is_413_as_soon_as_it_is_too_large(app: App, database: Database) -> None:
    before, sent = stored(database), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(12):
            sent += 1
            yield b"x" * (MAX_BODY_BYTES // 8)
            await asyncio.sleep(0)

    answer = app.ask("POST", HOOKS[0], headers=BEARER, content=endless())
    assert answer.status_code == 413
    assert sent < 12
    assert stored(database) == before


def test_the_largest_body_is_kept(app: App) -> None:
    assert app.ask("POST", HOOKS[0], headers=BEARER, content=b"x" * MAX_BODY_BYTES).status_code == 202


@pytest.mark.parametrize("path", [hook + "/" for hook in HOOKS])
def test_a_trailing_slash_is_no_redirect(app: App, path: str) -> None:
    """Alertmanager follows a redirect as a GET without a body, and counts it as delivered."""
    assert app.ask("POST", path, headers=BEARER, content=BODY).status_code == 404


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(body=st.binary(max_size=2000), kind=st.sampled_from(["application/json", "text/plain", "", "\x01"]))
def test_arbitrary_bytes_are_stored_byte_for_byte(app: App, database: Database, body: bytes, kind: str) -> None:
    answer = app.ask("POST", HOOKS[0], headers={**BEARER, "Content-Type": kind}, content=body)
    assert answer.status_code == 202
    ((kept,),) = database.run("SELECT body FROM stanch.inbox WHERE receipt = %s", (UUID(answer.json()["receipt"]),))
    assert bytes(kept) == body


def test_without_the_store_the_hook_asks_to_be_called_again(fresh_database: Database, tmp_path: Path) -> None:
    """503 is what Alertmanager retries; 429 and 4xx would lose the alert."""
    app = app_on(fresh_database, tmp_path)
    try:
        assert app.ask("POST", HOOKS[0], headers=BEARER, content=BODY).status_code == 202
        with fresh_database.away():
            assert app.ask("POST", HOOKS[0], headers=BEARER, content=BODY).status_code == 503
            assert app.ask("GET", "/healthz").status_code == 200
            assert app.ask("GET", "/readyz").status_code == 503
        assert stored(fresh_database) == 1
    finally:
        app.close()


def test_a_store_that_was_never_there_is_503_and_not_an_error_at_start(tmp_path: Path) -> None:
    app = app_on("postgresql://stanch_api:hunter2@127.0.0.1:1/stanch", tmp_path)
    try:
        answer = app.ask("POST", HOOKS[0], headers=BEARER, content=BODY)
        assert answer.status_code == 503
        assert "hunter2" not in answer.text
    finally:
        app.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/incidents", "/no/such/page", HOOKS[0]])
def test_every_answer_carries_the_security_headers(app: App, path: str) -> None:
    answer = app.ask("GET", path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers
