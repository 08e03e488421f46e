"""The missing index, on a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from lab.faults import CannotInjectError, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.faults import Fault
    from tests.lab.conftest import Target

pytestmark = pytest.mark.integration


@pytest.fixture
def fault(target: Target) -> Iterator[Fault]:
    fault = named("missing-index")
    fault.undo(target)
    yield fault
    fault.undo(target)


def _plan(target: Target) -> str:
    with psycopg.connect(target.admin_dsn) as connection:
        rows = connection.execute(
            "EXPLAIN (COSTS OFF) SELECT id FROM orders WHERE customer_id = 1700 ORDER BY placed_at DESC LIMIT 20"
        ).fetchall()
    return "\n".join(str(row[0]) for row in rows)


def _indexes(target: Target) -> set[str]:
    with psycopg.connect(target.admin_dsn) as connection:
        rows = connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'orders'").fetchall()
    return {row[0] for row in rows}


def test_injecting_makes_the_list_of_orders_a_scan_and_undoing_brings_the_index_back(
    fault: Fault, target: Target
) -> None:
    before = _plan(target)
    fault.inject(target)
    during = _plan(target)
    fault.undo(target)

    assert "orders_customer_idx" in before
    assert "Seq Scan on orders" in during
    assert _plan(target) == before
    assert _indexes(target) == {"orders_pkey", "orders_customer_idx"}


def test_injecting_twice_is_refused_and_says_what_to_do(fault: Fault, target: Target) -> None:
    fault.inject(target)

    with pytest.raises(CannotInjectError, match="undo missing-index first"):
        fault.inject(target)


def test_injecting_beside_another_index_that_serves_is_refused_and_names_it(fault: Fault, target: Target) -> None:
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE INDEX st_other_orders ON orders (customer_id, placed_at)")

    with pytest.raises(CannotInjectError, match="st_other_orders"):
        fault.inject(target)

    assert "orders_customer_idx" in _indexes(target)


def test_undoing_removes_an_index_that_the_repair_built(fault: Fault, target: Target) -> None:
    fault.inject(target)
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE INDEX CONCURRENTLY st_repair_orders ON orders (customer_id)")
    fault.undo(target)

    assert _indexes(target) == {"orders_pkey", "orders_customer_idx"}


def test_injecting_while_a_long_transaction_holds_the_table_gives_up_and_says_so(fault: Fault, target: Target) -> None:
    with psycopg.connect(target.admin_dsn) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
        with pytest.raises(CannotInjectError, match="end the long transaction"):
            fault.inject(target)

    assert "orders_customer_idx" in _indexes(target)
