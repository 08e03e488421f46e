"""Readings of a shop with nothing wrong, row by row to be changed; and of what its statements did in a second."""

from __future__ import annotations

from typing import Any

from agent.database.limits import Limits
from agent.database.readings import Readings
from agent.database.snapshot import NotVisible

HIDDEN = NotVisible("it", "no right")


def taken(
    *,
    before: dict[str, Any] | None = None,
    version: int = 150_018,
    in_recovery: bool = False,
    limits: Limits | None = None,
    **now: Any,
) -> Readings:
    return Readings(version, "shop", in_recovery, 1.0, now, before or {}, limits or Limits())


def table(name: str = "orders", /, **changes: Any) -> dict[str, Any]:
    return {
        "relid": 1,
        "schema": "public",
        "table": name,
        "seq_scan": 0,
        "seq_tup_read": 0,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "hot_updated": 0,
        "live_rows": 100_000,
        "dead_rows": 0,
        "modified_since_analyze": 0,
        "vacuumed_age_s": 60.0,
        "analyzed_age_s": 60.0,
        "planner_rows": 100_000.0,
        "bytes": 10_000_000,
        "options": [],
        "indexes": 2,
        "index_bytes": 4_000_000,
    } | changes


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "userid": 10,
        "queryid": 7,
        "user": "shop_app",
        "calls": 0,
        "total_exec_ms": 0.0,
        "sum_squared_ms": 0.0,
        "min_exec_ms": 0.1,
        "rows": 0,
        "shared_blks_read": 0,
        "temp_blks_written": 0,
        "generic_calls": None,
    } | changes


def text(query: str, **changes: Any) -> dict[str, Any]:
    return {"userid": 10, "queryid": 7, "query": query} | changes


def work(**changes: Any) -> dict[str, Any]:
    return {
        "database": "shop",
        "commits": 0,
        "rollbacks": 0,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "temp_files": 0,
        "temp_bytes": 0,
        "reset_at": None,
        "counted_s": 30 * 86_400.0,
        "standbys": 0,
    } | changes


def index(name: str = "orders_total", /, **changes: Any) -> dict[str, Any]:
    return {
        "index_id": 5,
        "relid": 1,
        "schema": "public",
        "table": "orders",
        "name": name,
        "method": "btree",
        "columns": ["total"],
        "definition": f"CREATE INDEX {name} ON public.orders USING btree (total)",
        "bytes": 20_000_000,
        "plain": True,
    } | changes


def scan(**changes: Any) -> dict[str, Any]:
    """The plan of a statement over the orders."""
    return {
        "Node Type": "Seq Scan",
        "Schema": "public",
        "Relation Name": "orders",
        "Alias": "orders",
        "Filter": "(customer_id = $1)",
        "Plan Rows": 10,
        "Total Cost": 5000.0,
    } | changes


def a_second_of(query: str, root: dict[str, Any] | None = None, **delta: Any) -> dict[str, Any]:
    """Readings now and before, with one statement that did so much; and its plan."""
    counted = {"calls": 100, "total_exec_ms": 900.0, "sum_squared_ms": 9000.0, "rows": 100} | delta
    plans = ({"userid": 10, "queryid": 7, "root": root, "why": ""},) if root else ()
    return {
        "statements": (statement(**counted),),
        "statement_texts": (text(query),),
        "statement_plans": plans,
        "before": {"statements": (statement(),)},
    }
