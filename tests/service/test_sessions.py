from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from service.sessions import ABSOLUTE_S, IDLE_S, MemorySessions, Sessions, StoreSessions
from tests.connectors.store.database import AGENT, API

if TYPE_CHECKING:
    from tests.service.incident_world import World


@pytest.fixture(params=["store", "memory"])
def sessions(request: pytest.FixtureRequest) -> Sessions:
    if request.param == "memory":
        return MemorySessions()
    world: World = request.getfixturevalue("world")
    return StoreSessions(world.database.store(API))


@pytest.mark.integration
def test_a_session_says_who_and_how_until_it_is_ended(sessions: Sessions) -> None:
    cookie = sessions.begin("ada", "oidc", ("dba",))
    other = sessions.begin("ada", "token")
    found = sessions.read(cookie)
    assert found is not None
    assert (found.person, found.groups, found.method) == ("ada", ("dba",), "oidc")
    assert 0 <= found.age_s < 60
    sessions.end(cookie)
    assert sessions.read(cookie) is None
    assert sessions.read(other) is not None


@pytest.mark.integration
@pytest.mark.parametrize("cookie", ["", "x", "\ud800", "0" * 10_000])
def test_any_other_cookie_is_nobodys(sessions: Sessions, cookie: str) -> None:
    assert sessions.read(cookie) is None


@pytest.mark.integration
@pytest.mark.parametrize(
    ("column", "ago_s", "holds"),
    [("seen_at", IDLE_S - 60, True), ("seen_at", IDLE_S + 1, False), ("created_at", ABSOLUTE_S + 1, False)],
)
def test_a_session_ends_without_use_and_after_a_day(world: World, column: str, ago_s: float, holds: bool) -> None:
    sessions = StoreSessions(world.database.store(API))
    cookie = sessions.begin("ada", "token")
    then = "clock_timestamp() - make_interval(secs => %s)"
    world.database.run(f"UPDATE stanch.session SET {column} = {then}", (ago_s,))  # noqa: S608 columns of the table above
    assert (sessions.read(cookie) is not None) == holds


@pytest.mark.integration
def test_what_a_browser_holds_is_nowhere_in_the_store(world: World) -> None:
    cookie = StoreSessions(world.database.store(API)).begin("ada", "token")
    rows = world.database.run("SELECT to_jsonb(s)::text FROM stanch.session s")
    assert rows
    assert all(cookie not in text for (text,) in rows)


@pytest.mark.integration
def test_no_other_process_reads_sessions_or_tokens(world: World) -> None:
    with world.database.store(AGENT).transaction() as tx, pytest.raises(Exception, match="permission denied"):
        tx.one("session", id_hash="", idle_s=1, absolute_s=1)


def test_a_session_in_memory_ends_as_one_in_the_store_does() -> None:
    clock = [datetime(2026, 11, 21, tzinfo=UTC)]
    sessions = MemorySessions(lambda: clock[0])
    idle, used = sessions.begin("ada", "token"), sessions.begin("bob", "token")
    for _ in range(4):
        clock[0] += timedelta(hours=5)
        assert sessions.read(used) is not None
    assert sessions.read(idle) is None
    clock[0] += timedelta(hours=5)
    assert sessions.read(used) is None
