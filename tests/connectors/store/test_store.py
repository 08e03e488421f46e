from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from agent.machine import Step
from connectors.store.store import QUERIES, Store, dumps, finish_step
from connectors.unreachable import Unreachable
from tests.connectors.store.database import AGENT, API

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration


def test_leaving_the_block_commits_and_an_error_takes_everything_back(database: Database) -> None:
    store = database.store(API)
    with store.transaction() as tx:
        kept = tx.add_step(None, Step("kept", "agent"))
    with contextlib.suppress(ZeroDivisionError), store.transaction() as tx:
        tx.add_step(None, Step("taken back", "agent"))
        _ = 1 / 0
    assert database.run("SELECT id FROM stanch.step WHERE kind IN ('kept', 'taken back')") == [(kept,)]


def test_a_store_that_went_away_is_used_again_when_it_is_back(fresh_database: Database) -> None:
    store = fresh_database.store(AGENT)
    with store.transaction() as tx:
        before = tx.now()
    with fresh_database.away(), pytest.raises(Unreachable) as caught, store.transaction() as tx:
        tx.now()
    assert not caught.value.permanent
    after = before
    for _ in range(10):  # the pool waits a little longer after each refusal
        try:
            with store.transaction() as tx:
                after = tx.now()
            break
        except Unreachable:
            continue
    assert after > before


@pytest.mark.parametrize("dsn", ["postgresql://u:hunter2@127.0.0.1:1/x", "host=x password hunter2"])
def test_a_store_that_is_not_there_is_no_error_before_it_is_used(dsn: str) -> None:
    store = Store(dsn, application_name="test")
    with pytest.raises(Unreachable) as caught, store.transaction() as tx:
        tx.now()
    store.close()
    assert "hunter2" not in str(caught.value)


def test_nobody_waits_for_a_row_longer_than_the_statement_timeout(database: Database) -> None:
    with database.store(AGENT).transaction() as tx:
        assert tx._connection.execute("SHOW statement_timeout").fetchall() == [{"statement_timeout": "10s"}]


def test_a_wait_that_the_server_ended_is_unreachable(database: Database) -> None:
    with database.store(AGENT).transaction() as tx:
        step = tx.add_step(None, Step("locked", "agent"))
    with database.store(API).transaction() as holder:
        assert holder.one("claim_step", id=step, owner="x", lease_s=60, queues=None)
        with pytest.raises(Unreachable, match="statement timeout"):
            _claim_within_50_ms(database, step)


def _claim_within_50_ms(database: Database, step: int) -> None:
    with database.store(AGENT).transaction() as tx:
        tx._connection.execute("SET LOCAL statement_timeout = 50")
        tx.one("claim_step", id=step, owner="y", lease_s=60, queues=None)


def test_a_step_that_is_not_due_yet_cannot_be_claimed(database: Database) -> None:
    store = database.store(AGENT)
    with store.transaction() as tx:
        step = tx.add_step(None, Step("later", "agent", after_s=3600.0))
    assert store.claim(step, owner="x", lease_s=60) is None
    assert step not in store.due(("agent",), grace_s=0.0)


def test_only_the_newest_fence_renews_and_finishes(database: Database) -> None:
    store = database.store(AGENT)
    with store.transaction() as tx:
        step = tx.add_step(None, Step("fenced", "agent"))
    old = store.claim(step, owner="old", lease_s=0.0)
    assert old is not None
    new = None
    while new is None:  # a lease of nothing is over by the next look
        new = store.claim(step, owner="new", lease_s=60)
    assert new.fence == old.fence + 1
    assert (store.renew(old, lease_s=60), store.renew(new, lease_s=60)) == (False, True)
    with store.transaction() as tx:
        assert not finish_step(tx, old, state="done")
        assert finish_step(tx, new, state="done")
        assert not finish_step(tx, new, state="done")


def test_two_relays_never_publish_the_same_step(fresh_database: Database) -> None:
    store = fresh_database.store(API)
    with store.transaction() as tx:
        steps = [tx.add_step(None, Step("one", "agent")) for _ in range(40)]
    taken: list[int] = []

    def publish() -> None:
        while True:
            with store.transaction() as tx:
                rows = tx.all("publishable", queues=["agent"], limit=3)
            if not rows:
                return
            taken.extend(row["id"] for row in rows)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == steps


def test_json_with_nul_is_stored_with_a_mark_in_its_place(database: Database) -> None:
    store = database.store(AGENT)
    with store.transaction() as tx:
        tx.audit(None, "nul", "Nul", {"a\x00b": ["\x00", {"c": "\\u0000"}]})
    ((data,),) = database.run("SELECT data FROM stanch.audit WHERE actor = 'nul'")
    assert data["a\ufffdb"][0] == "\ufffd"
    assert data["a\ufffdb"][1]["c"] == "\\u0000"  # six characters, which are only text
    assert dumps({1: "x"}) == '{"1":"x"}'


def test_every_query_can_be_prepared_by_the_server(database: Database) -> None:
    """A column that was renamed, or a missing table, shows here and not at night."""
    with database.store(API).transaction() as tx:
        for name, text in QUERIES.items():
            numbers = iter(range(1, 99))
            known: dict[str, int] = {}
            prepared = _numbered(text, known, numbers)
            tx._connection.execute(f"PREPARE q_{name} AS {prepared}".encode())
        rows = tx._connection.execute(b"SELECT name FROM pg_prepared_statements WHERE name LIKE 'q\\_%'").fetchall()
    assert {row["name"] for row in rows} == {f"q_{name}" for name in QUERIES}


def _numbered(text: str, known: dict[str, int], numbers: object) -> str:
    """The driver's named parameters as the server's own."""
    import re  # noqa: PLC0415 this one place

    def number(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            known[name] = next(numbers)  # type: ignore[call-overload]
        return f"${known[name]}"

    lines = (line for line in text.splitlines() if not line.strip().startswith("--"))
    return re.sub(r"%\((\w+)\)s", number, "\n".join(lines))
