from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from connectors.store.migrate import ChangedMigration, migrate, migrations, pending
from connectors.unreachable import Unreachable
from tests.connectors.store.database import AGENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database, StoreServer

pytestmark = pytest.mark.integration
ALL = tuple(one.name for one in migrations())


@pytest.fixture
def empty(store_server: StoreServer) -> Iterator[Database]:
    with store_server.database(migrated=False) as made:
        yield made


def test_a_second_run_applies_nothing(empty: Database) -> None:
    assert migrate(empty.dsn()) == ALL
    assert migrate(empty.dsn()) == ()
    assert empty.run("SELECT count(*) FROM stanch.schema_migration") == [(len(ALL),)]


def test_what_is_pending_is_named_before_and_is_nothing_after(empty: Database) -> None:
    assert pending(empty.dsn()) == ALL
    migrate(empty.dsn())
    assert pending(empty.dsn()) == ()
    assert pending(empty.dsn(AGENT)) == ()


def test_a_migration_changed_after_it_was_applied_is_refused(fresh_database: Database) -> None:
    fresh_database.run("UPDATE stanch.schema_migration SET sha256 = 'of another text' WHERE name = %s", (ALL[0],))
    with pytest.raises(ChangedMigration, match=ALL[0]):
        migrate(fresh_database.dsn())


def test_two_at_once_wait_for_each_other_and_one_applies(empty: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty.dsn()] * 4))
    assert sorted(applied) == [(), (), (), ALL]


def test_a_failed_migration_leaves_nothing_behind(empty: Database) -> None:
    # The ledger is made by hand, so that the first migration stumbles over its own table.
    empty.run("CREATE SCHEMA stanch")
    empty.run("CREATE TABLE stanch.control (x int)")
    with pytest.raises(Unreachable, match="control") as caught:
        migrate(empty.dsn())
    assert caught.value.permanent
    assert empty.run("SELECT to_regclass('stanch.incident')") == [(None,)]


def test_a_role_that_may_not_create_is_told_so(empty: Database) -> None:
    with pytest.raises(Unreachable, match="permission denied") as caught:
        migrate(empty.dsn(AGENT))
    assert caught.value.permanent


@pytest.mark.parametrize("ask", [migrate, pending])
def test_a_store_that_does_not_answer_is_unreachable(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(Unreachable):
        ask("postgresql://u@127.0.0.1:1/x")


@pytest.mark.parametrize("ask", [migrate, pending])
def test_a_dsn_that_cannot_be_read_is_not_repeated(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(Unreachable) as caught:
        ask("host=db password hunter2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.permanent
