"""A shop's orders without their index, as a target would show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.database.snapshot import (
    ColumnFacts,
    IndexFacts,
    Plan,
    StatementDelta,
    TableDelta,
    TableFacts,
    Workload,
)

QUERY = "SELECT id FROM orders o WHERE customer_id = $1 AND created_at > $2"
FILTER = "((o.created_at > $2) AND (o.customer_id = $1))"
ORDERS = TableFacts(
    schema="public",
    table="orders",
    columns=(
        ColumnFacts("id", "bigint", -1.0, 0.0, 8),
        ColumnFacts("customer_id", "bigint", 20000.0, 0.0, 8),
        ColumnFacts("status", "character varying(10)", 3.0, 0.0, 5),
        ColumnFacts("created_at", "timestamp with time zone", -1.0, 0.0, 8),
        ColumnFacts("shop_id", "integer", 50.0, 0.0, 4),
    ),
    indexes=(IndexFacts("orders_pkey", ("id",), "…", "btree", True, True, True, False, 5_000_000),),
    rows=2_000_000,
    bytes=200_000_000,
    partitioned=False,
)
SLOW = StatementDelta(42, QUERY, 30, 9000.0, 300.0, 1.0, 0.1, 300, 1000, 90000, "shop_app")
SCANNED = TableDelta("public", "orders", 30, 60_000_000, 0, 2_000_000, 0, 0, "2026-11-21T12:00:00+00:00", 250_000_000)


def plan(condition: str | None = FILTER, rows: float = 30.0, cost: float = 45_000.0, **more: Any) -> Plan:
    node: dict[str, Any] = {
        "Node Type": "Seq Scan",
        "Schema": "public",
        "Relation Name": "orders",
        "Alias": "o",
        "Plan Rows": rows,
        "Total Cost": cost,
    }
    return Plan(node | ({"Filter": condition} if condition else {}) | more)


SCAN = plan()


def sample(**changes: Any) -> Workload:
    known: dict[str, Any] = {
        "window_s": 3.0,
        "statements": (SLOW,),
        "tables": (SCANNED,),
        "total_exec_ms": 9100.0,
        "resets_detected": False,
        "not_visible": (),
    }
    return Workload(**known | changes)


def orders_with(*columns: str, **changes: Any) -> TableFacts:
    """The orders with one index more."""
    index = IndexFacts("orders_more", columns, "…", "btree", True, True, False, False, 5_000_000)
    return replace(ORDERS, indexes=(*ORDERS.indexes, replace(index, **changes)))
