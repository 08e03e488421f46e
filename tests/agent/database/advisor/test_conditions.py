from __future__ import annotations

import pytest

from agent.database.advisor.conditions import demands
from agent.database.advisor.statement import read
from tests.agent.database.advisor.shop import TABLES, where


def asked(sql: str) -> list[tuple[str, str, str]]:
    """(table, kind, key) of every comparison, in any order."""
    found = demands(read(sql), TABLES)
    return sorted(
        (found.occurrences[atom.operand.occurrence].table.table, atom.kind, atom.operand.sql) for atom in found.atoms
    )


@pytest.mark.parametrize(
    ("condition", "kind", "key"),
    [
        ("customer_id = $1", "equal", "customer_id"),
        ("7 = CUSTOMER_ID", "equal", "customer_id"),
        ('"Odd Näme" = 1', "equal", '"Odd Näme"'),
        ("customer_id = (SELECT 5)", "equal", "customer_id"),
        ("customer_id IN (1, 2)", "list", "customer_id"),
        ("customer_id = ANY($1)", "list", "customer_id"),
        ("customer_id = 1 OR customer_id = 2", "list", "customer_id"),
        ("created_at >= now() - interval '1 day'", "range", "created_at"),
        ("created_at BETWEEN $1 AND $2", "range", "created_at"),
        ("(created_at, id) > ($1, $2)", "range", "created_at"),
        ("closed_at IS NULL", "null", "closed_at"),
        ("paid", "equal", "paid"),
        ("NOT paid", "equal", "paid"),
        ("paid IS FALSE", "equal", "paid"),
        ("email LIKE 'abc%'", "prefix", "email"),
        ("email ~ '^abc'", "prefix", "email"),
        ("email LIKE '%abc%'", "like", "email"),
        ("email ILIKE 'abc%'", "like", "email"),
        ("lower(email) = $1", "equal", "lower(email)"),
        ("date_trunc('day', local_at) = $1", "equal", "date_trunc('day', local_at)"),
        ("data ->> 'k' = 'v'", "equal", "(data ->> 'k')"),
        ("(data ->> 'n')::int > 5", "range", "((data ->> 'n'))::integer"),
        ("data @> '{\"a\": 1}'", "contains", "data"),
        ("data ? 'k'", "keys", "data"),
        ("tags && ARRAY['a']", "overlaps", "tags"),
        ("words @@ to_tsquery('a')", "match", "words"),
        ("status <> 'done'", "filter", "status"),
    ],
)
def test_a_comparison_asks_for_its_column(condition: str, kind: str, key: str) -> None:
    assert ("orders", kind, key) in asked(where(condition))


@pytest.mark.parametrize(
    "condition",
    [
        "customer_id = shop_id",
        "customer_id IS DISTINCT FROM 3",
        "email LIKE $1",
        "email LIKE '%a%'",
        "no_such = 1",
        "random() < 0.1",
        "email NOT LIKE 'abc%'",
        "created_at::date = '2026-01-01'",
        "date_trunc('day', created_at) = '2026-01-01'",
        "to_tsvector(email) @@ to_tsquery('a')",
        "concat(email, code) = 'x'",
        "my.own(email) = 'x'",
    ],
)
def test_what_no_index_could_be_searched_by_asks_for_none(condition: str) -> None:
    assert [kind for _, kind, _ in asked(where(condition)) if kind != "filter"] == []


def test_an_expression_that_depends_on_settings_says_what_to_write_instead() -> None:
    found = demands(read("SELECT id FROM orders WHERE created_at::date = '2026-01-01'"), TABLES)
    assert "ask for a range" in found.notes[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = 7",
        "SELECT 1 FROM orders o, items i WHERE i.order_id = o.id AND o.customer_id = 7",
        "SELECT 1 FROM orders o WHERE customer_id = 7 AND EXISTS (SELECT 1 FROM items WHERE order_id = o.id)",
        "SELECT 1 FROM orders o WHERE customer_id = 7 AND NOT EXISTS (SELECT 1 FROM items i WHERE o.id = i.order_id)",
        "SELECT 1 FROM orders WHERE customer_id = 7 AND id IN (SELECT order_id FROM items)",
        "SELECT 1 FROM orders WHERE customer_id = 7 AND id = ANY (SELECT order_id FROM items)",
        "SELECT (SELECT max(qty) FROM items i WHERE i.order_id = o.id) FROM orders o WHERE customer_id = 7",
        "SELECT 1 FROM orders o, LATERAL (SELECT 1 FROM items i WHERE i.order_id = o.id) x WHERE customer_id = 7",
        "WITH c AS (SELECT id AS o FROM orders WHERE customer_id = 7) SELECT 1 FROM c JOIN items ON order_id = c.o",
        "SELECT 1 FROM (SELECT * FROM orders) x JOIN items i ON i.order_id = x.id WHERE x.customer_id = 7",
        "UPDATE items i SET qty = 1 FROM orders o WHERE i.order_id = o.id AND o.customer_id = 7",
        "DELETE FROM items USING orders o WHERE order_id = o.id AND customer_id = 7",
    ],
)
def test_a_join_in_any_shape_asks_for_both_sides(sql: str) -> None:
    found = asked(sql)
    assert ("items", "join", "order_id") in found
    assert ("orders", "equal", "customer_id") in found


def test_a_condition_above_a_union_reaches_both_branches() -> None:
    sql = "SELECT 1 FROM (SELECT id AS x FROM orders UNION ALL SELECT order_id FROM items) u WHERE x = 5"
    assert {("orders", "equal", "id"), ("items", "equal", "order_id")} <= set(asked(sql))


def test_a_constant_reaches_what_is_joined_to_it() -> None:
    sql = "SELECT 1 FROM orders o JOIN items i ON i.order_id = o.id WHERE o.id = 5"
    assert ("items", "equal", "order_id") in asked(sql)


def test_an_or_over_several_columns_is_kept_as_branches() -> None:
    found = demands(read("SELECT 1 FROM orders WHERE customer_id = 1 OR shop_id = 2"), TABLES)
    assert found.atoms == []
    assert [[atom.operand.sql for atom in branch] for branch in found.alternatives[0]] == [["customer_id"], ["shop_id"]]


@pytest.mark.parametrize(
    ("clause", "keys", "limited"),
    [
        ("ORDER BY created_at DESC LIMIT 5", [("created_at", True)], True),
        ("ORDER BY 2 FETCH FIRST 5 ROWS ONLY", [("created_at", False)], True),
        ("ORDER BY at LIMIT 5", [("created_at", False)], True),
        ("ORDER BY shop_id, created_at DESC", [("shop_id", False), ("created_at", True)], False),
        ("ORDER BY created_at, random()", [("created_at", False)], False),
    ],
)
def test_an_order_is_read_as_far_as_one_table_gives_it(
    clause: str, keys: list[tuple[str, bool]], limited: bool
) -> None:
    sql = "SELECT id, created_at AS at FROM orders " + clause  # noqa: S608 a test's own text
    (order,) = demands(read(sql), TABLES).orders
    assert [(key.operand.sql, key.descending) for key in order.keys] == keys
    assert order.limited == limited


def test_the_columns_read_are_known_unless_all_are() -> None:
    few = demands(read("SELECT id FROM orders o WHERE customer_id = 1 ORDER BY created_at"), TABLES)
    assert few.read[0] == {"id", "customer_id", "created_at"}
    assert demands(read("SELECT * FROM orders"), TABLES).read[0] is None
    assert demands(read("SELECT count(*) FROM orders WHERE shop_id = 1"), TABLES).read[0] == {"shop_id"}
