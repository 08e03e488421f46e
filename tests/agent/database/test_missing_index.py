from __future__ import annotations

from dataclasses import replace

import pytest

from agent.database.missing_index import (
    Candidate,
    candidates,
    estimated_bytes,
    estimated_cost,
    existing_index,
    tables_named,
)
from tests.agent.database.examples import ORDERS, QUERY, SCAN, orders_with, plan


def columns(query: str, condition: str | None = None) -> list[tuple[str, ...]]:
    found = candidates(query, plan(condition) if condition else None, ORDERS)
    return [candidate.columns for candidate in found]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("SELECT 1 FROM orders WHERE customer_id = $1", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE $1 = customer_id", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE created_at > $1 AND customer_id = $2", ("customer_id", "created_at")),
        ("SELECT 1 FROM orders WHERE created_at BETWEEN $1 AND $2", ("created_at",)),
        ("SELECT 1 FROM orders WHERE status = $1 AND customer_id = $2", ("customer_id", "status")),
        ("SELECT 1 FROM orders o WHERE o.customer_id IN ($1, $2)", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE customer_id = ANY($1)", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE customer_id = $1 OR customer_id = $2", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE customer_id IS NULL", ("customer_id",)),
        ("SELECT 1 FROM orders WHERE customer_id=$1 ORDER BY created_at DESC LIMIT $2", ("customer_id", "created_at")),
        ("SELECT 1 FROM orders WHERE customer_id = $1 ORDER BY created_at DESC", ("customer_id",)),
        ("SELECT 1 FROM items i JOIN orders o ON o.customer_id = i.customer_id", ("customer_id",)),
        ("UPDATE orders SET status = $1 WHERE customer_id = $2", ("customer_id",)),
        ("DELETE FROM public.orders WHERE customer_id = $1", ("customer_id",)),
        ("WITH x AS (SELECT 1 FROM orders WHERE customer_id = $1) SELECT * FROM x", ("customer_id",)),
        ('SELECT 1 FROM "orders" WHERE "customer_id" = $1', ("customer_id",)),
        ("SELECT 1 FROM ORDERS WHERE CUSTOMER_ID = $1", ("customer_id",)),
    ],
)
def test_equality_comes_first_then_a_range_or_the_order(query: str, best: tuple[str, ...]) -> None:
    assert columns(query)[0] == best


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 FROM orders",
        "SELECT 1 FROM orders WHERE lower(status) = $1",
        "SELECT 1 FROM orders WHERE customer_id + 1 = $1",
        "SELECT 1 FROM orders WHERE customer_id::text = $1",
        "SELECT 1 FROM orders WHERE customer_id <> $1",
        "SELECT 1 FROM orders WHERE customer_id = $1 OR status = $2",
        "SELECT 1 FROM orders WHERE NOT customer_id = $1",
        "SELECT 1 FROM orders WHERE no_such_column = $1",
        "SELECT 1 FROM elsewhere WHERE customer_id = $1",
        "SELECT 1 FROM other.orders WHERE customer_id = $1",
        "SELECT 1 FROM orders WHERE customer_id = $1 AND (((",
        "SELECT 1 FROM orders WHERE " + "(" * 5000 + "customer_id = $1" + ")" * 5000,
        "<insufficient privilege>",
        "",
    ],
)
def test_what_a_plain_column_index_cannot_serve_gets_none(query: str) -> None:
    assert columns(query) == []


def test_at_most_three_sets_and_none_twice() -> None:
    query = "SELECT 1 FROM orders WHERE customer_id=$1 AND shop_id=$2 AND created_at>$3 ORDER BY id LIMIT 5"
    found = columns(query)
    assert found == [
        ("customer_id", "shop_id", "id"),
        ("customer_id", "shop_id", "created_at"),
        ("customer_id", "shop_id"),
    ]


def test_what_the_plan_filters_on_is_read_with_its_casts() -> None:
    found = columns("SELECT nothing that parses (", "((o.status)::text = ($1)::text)")
    assert found == [("status",)]


def test_an_existing_index_that_begins_with_the_columns_serves() -> None:
    wanted = Candidate("public", "orders", ("customer_id", "created_at"), 1)
    assert existing_index(wanted, ORDERS) is None
    assert existing_index(wanted, orders_with("customer_id", "created_at", "id")) == "orders_more"
    assert existing_index(wanted, orders_with("customer_id")) is None
    assert existing_index(wanted, orders_with("created_at", "customer_id")) is None
    two = Candidate("public", "orders", ("customer_id", "status"), 2)
    assert existing_index(two, orders_with("status", "customer_id")) == "orders_more"


@pytest.mark.parametrize("changes", [{"valid": False}, {"ready": False}, {"partial": True}, {"method": "hash"}])
def test_an_index_that_is_invalid_partial_or_no_btree_does_not_serve(changes: dict[str, object]) -> None:
    wanted = Candidate("public", "orders", ("customer_id",), 1)
    assert existing_index(wanted, orders_with("customer_id", **changes)) is None


def test_the_estimate_falls_with_the_rows_that_match() -> None:
    one = estimated_cost(SCAN, Candidate("public", "orders", ("customer_id",), 1), ORDERS)
    status = estimated_cost(SCAN, Candidate("public", "orders", ("status",), 1), ORDERS)
    assert one is not None
    assert status is not None
    assert one < 1000 < SCAN.total_cost < status


def test_without_statistics_there_is_no_figure() -> None:
    unknown = replace(ORDERS, rows=None)
    wanted = Candidate("public", "orders", ("customer_id",), 1)
    assert estimated_cost(SCAN, wanted, unknown) is None
    assert estimated_bytes(wanted, unknown) is None


def test_the_size_is_near_what_was_measured() -> None:
    """(customer_id, created_at) over 8 million rows had 253 MB on 15."""
    grown = replace(ORDERS, rows=8_000_000)
    size = estimated_bytes(Candidate("public", "orders", ("customer_id", "created_at"), 1), grown)
    assert size is not None
    assert 0.9 < size / (253 * 1024**2) < 1.1


def test_the_tables_a_statement_names_are_listed_without_its_own_ctes() -> None:
    assert set(tables_named("WITH a AS (SELECT 1 FROM x.y) SELECT * FROM A, ORDERS")) == {("x", "y"), (None, "orders")}
    assert tables_named(QUERY) == ((None, "orders"),)
    assert tables_named("(((") == ()
