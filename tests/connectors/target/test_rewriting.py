"""Every rewrite against a real PostgreSQL: the same rows as often, whatever NULLs and duplicates the tables hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.database.rewrite import comparison, rewritten
from tests.agent.database.rewriting.examples import EQUAL, RELATIONS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

PAIRS = [
    (query, rewrite.sql)
    for queries in EQUAL.values()
    for query in queries
    for rewrite in rewritten(query, RELATIONS).rewrites
]
_small = st.none() | st.integers(0, 3)
_word = st.sampled_from([None, "a", "ab", "", "b"])
_customers = st.lists(st.tuples(_word, _small, st.sampled_from([None, True, False])), max_size=4)
_orders = st.lists(
    st.tuples(_small, _word, st.sampled_from([None, "1", "1.0", "2", "0.5"]), st.integers(0, 3), st.just(1.5)),
    max_size=5,
)
_items = st.lists(st.tuples(_small, _word, _small), max_size=5)


@pytest.fixture(scope="module")
def tables(shop: Shop) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop.admin, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection
        connection.execute("DROP SCHEMA rewriting CASCADE")


def fill(connection: psycopg.Connection, customers: list[Any], orders: list[Any], items: list[Any]) -> None:
    connection.execute("TRUNCATE rewriting.customers, rewriting.orders, rewriting.items")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rewriting.customers VALUES (%s, %s, %s, %s)", [(n, *row) for n, row in enumerate(customers)]
        )
        cursor.executemany(
            "INSERT INTO rewriting.orders VALUES (%s, %s, %s, %s::numeric, %s, %s)",
            [(n, *row) for n, row in enumerate(orders)],
        )
        cursor.executemany("INSERT INTO rewriting.items VALUES (%s, %s, %s)", items)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    customers=[("a", 1, True), ("a", 1, True), (None, None, None)],
    orders=[(0, "a", "1", 1, 1.5), (1, "a", "1.0", 1, 1.5), (None, None, None, 2, 1.5)],
    items=[(0, "a", 1), (0, "a", 1), (1, "a", 0), (None, None, None)],
)
@given(customers=_customers, orders=_orders, items=_items)
def test_a_rewrite_gives_the_same_rows_as_often_and_under_the_same_names(
    tables: psycopg.Connection, customers: list[Any], orders: list[Any], items: list[Any]
) -> None:
    fill(tables, customers, orders, items)
    for query, sql in PAIRS:
        before, after = tables.execute(query.encode()), tables.execute(sql.encode())
        assert [column[:2] for column in after.description or ()] == [column[:2] for column in before.description or ()]
        assert Counter(after.fetchall()) == Counter(before.fetchall()), (query, sql)


def test_the_comparison_on_a_sample_sees_equal_and_unequal_answers(tables: psycopg.Connection) -> None:
    fill(tables, [("a", 1, True)] * 4, [(1, "a", "1", 1, 1.0)] * 5, [(1, "a", 2)] * 5)
    for query, sql in PAIRS:
        assert tables.execute(comparison(query, sql).encode()).fetchall()[0][1:] == (0, 0)
    once, twice = "SELECT DISTINCT sku FROM rewriting.items", "SELECT sku FROM rewriting.items"
    assert tables.execute(comparison(twice, once).encode()).fetchall() == [(5, 4, 0)]
    assert tables.execute(comparison(once, twice).encode()).fetchall() == [(1, 0, 4)]
