"""The faults that are other people's sessions, on a real PostgreSQL: what each does to whom, and that undo ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors

from lab.faults import CannotInjectError
from lab.faults.ddl_lock_queue import DdlLockQueue
from lab.faults.idle_in_transaction import IdleInTransaction
from lab.faults.invalid_index import REPLACEMENT, InvalidIndex
from lab.faults.old_xmin import OldXmin
from lab.faults.outdated_statistics import OutdatedStatistics
from lab.faults.row_lock_pile_up import RowLockPileUp
from lab.faults.runaway_query import RunawayQuery
from lab.faults.temp_file_spill import TempFileSpill
from tests.lab.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.faults import Fault
    from tests.lab.conftest import Target

pytestmark = pytest.mark.integration

_FAULTS = (
    IdleInTransaction(),
    RowLockPileUp(),
    DdlLockQueue(),
    RunawayQuery(),
    OldXmin(),
    OutdatedStatistics(),
    TempFileSpill(),
    InvalidIndex(),
)
_HELD = tuple(fault for fault in _FAULTS if not isinstance(fault, InvalidIndex | OutdatedStatistics))
_INDEXES = {"orders_pkey", "orders_customer_idx"}


def _ask(target: Target, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchall()


def _others(target: Target) -> list[tuple[Any, ...]]:
    """Sessions of roles that only a fault makes."""
    return _ask(
        target,
        "SELECT usename, application_name, state FROM pg_stat_activity"
        " WHERE usename IN ('shop_support', 'shop_invoicing', 'shop_reporting', 'shop_analyst', 'shop_export',"
        " 'shop_import', 'shop_deploy')",
    )


def _place_order(target: Target) -> None:
    """As the shop does it, for its busiest customer; gives up quickly."""
    with psycopg.connect(target.app_dsn, autocommit=True, options="-c lock_timeout=300") as shop:
        shop.execute(
            "INSERT INTO orders (customer_id, total_cents, item_count, shipping_country, payment_reference)"
            " VALUES (1, 100, 1, 'DE', 'test')"
        )


def _list_orders(target: Target) -> None:
    with psycopg.connect(target.app_dsn, autocommit=True, options="-c lock_timeout=300") as shop:
        shop.execute("SELECT id FROM orders WHERE customer_id = 1 ORDER BY placed_at DESC LIMIT 20").fetchall()


@pytest.fixture(autouse=True)
def _nothing_left(target: Target) -> Iterator[None]:
    for fault in _FAULTS:
        fault.undo(target)
    yield
    for fault in _FAULTS:
        fault.undo(target)
    assert eventually(lambda: not _others(target))
    assert {name for (name,) in _ask(target, "SELECT indexname FROM pg_indexes WHERE tablename = 'orders'")} == _INDEXES


def _blockers(target: Target) -> set[str]:
    rows = _ask(
        target,
        "SELECT DISTINCT b.application_name || ' ' || b.state FROM pg_stat_activity w"
        " CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)"
        " JOIN pg_stat_activity b ON b.pid = blocking.pid WHERE w.wait_event_type = 'Lock'",
    )
    return {who for (who,) in rows}


@pytest.mark.parametrize("fault", [IdleInTransaction(), RowLockPileUp()], ids=lambda fault: fault.name)
def test_a_held_customer_keeps_orders_out_and_undoing_lets_them_in(fault: Fault, target: Target) -> None:
    fault.inject(target)
    with pytest.raises(errors.LockNotAvailable):
        _place_order(target)
    fault.undo(target)

    _place_order(target)
    assert not _others(target)


def test_the_session_that_idles_does_nothing_and_the_invoice_run_is_at_work(target: Target) -> None:
    IdleInTransaction().inject(target)
    idling = _others(target)
    IdleInTransaction().undo(target)
    RowLockPileUp().inject(target)

    assert idling == [("shop_support", "psql", "idle in transaction")]
    assert eventually(lambda: _others(target) == [("shop_invoicing", "invoice-run", "active")])


def test_a_migration_behind_a_report_keeps_readers_out_and_leaves_no_column_when_undone(target: Target) -> None:
    DdlLockQueue().inject(target)
    assert eventually(lambda: any("reporting" in who for who in _blockers(target)))
    with pytest.raises(errors.LockNotAvailable):
        _list_orders(target)
    DdlLockQueue().undo(target)

    _list_orders(target)
    columns = _ask(target, "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'")
    assert ("gift_note",) not in columns


def test_a_cancelled_migration_is_not_tried_again(target: Target) -> None:
    DdlLockQueue().inject(target)
    waiting = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'migration' AND state = 'active'"
    )
    assert eventually(lambda: bool(_ask(target, waiting)))

    assert eventually(lambda: [application for _, application, _ in _others(target)] == ["reporting"])
    _list_orders(target)


def test_the_analysts_statement_runs_until_it_is_cancelled(target: Target) -> None:
    RunawayQuery().inject(target)
    assert eventually(lambda: ("shop_analyst", "jupyter", "active") in _others(target))
    _ask(target, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'jupyter'")

    assert eventually(lambda: not _others(target))


def test_the_export_keeps_dead_rows_until_it_is_ended(target: Target) -> None:
    OldXmin().inject(target)
    held = "SELECT age(backend_xmin) > 2000 FROM pg_stat_activity WHERE application_name = 'warehouse-export'"
    assert eventually(lambda: _ask(target, held) == [(True,)])
    dead = "SELECT n_dead_tup > 2000 FROM pg_stat_user_tables WHERE relname = 'products'"
    assert eventually(lambda: _ask(target, dead) == [(True,)])
    OldXmin().undo(target)

    assert eventually(lambda: _ask(target, dead) == [(False,)])


def test_the_report_runs_with_its_roles_setting_which_undoing_takes_back(target: Target) -> None:
    TempFileSpill().inject(target)
    held = "SELECT rolconfig FROM pg_roles WHERE rolname = 'shop_reporting'"
    during = _ask(target, held)
    ran = "SELECT count(*) > 0 FROM pg_stat_statements WHERE calls > 1 AND query LIKE 'SELECT id, rpad%'"
    assert eventually(lambda: _ask(target, ran) == [(True,)])
    TempFileSpill().undo(target)

    assert during == [(["work_mem=1MB"],)]
    assert _ask(target, held) == [(None,)]


def test_the_failed_build_is_there_and_invalid_and_the_index_it_was_to_replace_is_gone(target: Target) -> None:
    InvalidIndex().inject(target)

    left = _ask(
        target,
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'public.orders'::regclass AND NOT i.indisprimary",
    )
    assert left == [(REPLACEMENT, False)]


def test_a_concurrent_rebuild_repairs_it_and_what_it_built_goes_with_the_fault(target: Target) -> None:
    InvalidIndex().inject(target)
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        connection.execute(f"REINDEX INDEX CONCURRENTLY public.{REPLACEMENT}".encode())
    valid = _ask(target, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_customer_recent_idx'::regclass")
    InvalidIndex().undo(target)

    assert valid == [(True,)]

    assert {name for (name,) in _ask(target, "SELECT indexname FROM pg_indexes WHERE tablename = 'orders'")} == _INDEXES


def _prices(target: Target) -> str:
    """How the catalog asks for the prices of the day."""
    rows = _ask(
        target,
        "EXPLAIN (COSTS OFF) SELECT product_id, price_cents FROM daily_prices"
        " WHERE category_id = 3 AND country = 'DE' AND valid_on = CURRENT_DATE",
    )
    return "\n".join(str(row[0]) for row in rows)


def test_a_bulk_load_leaves_a_plan_by_the_day_until_the_table_is_analysed(target: Target) -> None:
    OutdatedStatistics().inject(target)
    stale = _prices(target)
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE daily_prices_next")
    fresh = _prices(target)
    OutdatedStatistics().undo(target)

    assert "daily_prices_next_valid_on_idx" in stale
    assert "daily_prices_next_category_id_idx" in fresh
    assert "daily_prices_valid_on_idx" in _prices(target)
    assert _ask(target, "SELECT count(*) FROM daily_prices") == _ask(target, "SELECT count(*) FROM products")


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
def test_injecting_twice_is_refused_and_says_what_to_do(fault: Fault, target: Target) -> None:
    fault.inject(target)

    with pytest.raises(CannotInjectError, match=f"undo {fault.name} first"):
        fault.inject(target)


@pytest.mark.parametrize("fault", _HELD, ids=lambda fault: fault.name)
def test_who_injected_it_need_not_undo_it(fault: Fault, target: Target) -> None:
    """Nothing but the server is asked who is there, so another process may end it."""
    fault.inject(target)
    type(fault)().undo(target)

    assert not _others(target)
