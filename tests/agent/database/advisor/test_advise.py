from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.database.advisor.advise import Advice, advise
from agent.database.advisor.candidates import Extensions
from agent.database.snapshot import NotVisible
from tests.agent.database.advisor.shop import ORDERS, TABLES, CostTable, index, where, written

NONE = Extensions()
BY_CUSTOMER = "SELECT id, email FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10"


def bodies(advice: Advice) -> list[str]:
    return [written(one.definition) for one in advice.indexes]


def test_the_index_that_makes_the_plan_cheapest_for_its_room_is_advised() -> None:
    costs = {("orders (customer_id, created_at)",): 12.0, ("orders (customer_id)",): 900.0}
    advice = advise(BY_CUSTOMER, CostTable(costs), extensions=NONE)
    assert bodies(advice) == ["orders (customer_id, created_at)"]
    (one,) = advice.indexes
    assert (one.validated, one.cost_before, one.cost_after) == (True, 40_000.0, 12.0)
    nearly = CostTable({**costs, ("orders (customer_id)",): 14.0})
    assert bodies(advise(BY_CUSTOMER, nearly, extensions=NONE)) == ["orders (customer_id)"]


def test_a_join_gets_an_index_for_each_side_and_no_superfluous_one() -> None:
    sql = "SELECT 1 FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = $1"
    costs = {
        ("orders (customer_id)",): 30_000.0,
        ("items (order_id)",): 20_000.0,
        ("items (order_id)", "orders (customer_id)"): 80.0,
    }
    assert set(bodies(advise(sql, CostTable(costs), extensions=NONE))) == {"items (order_id)", "orders (customer_id)"}


def test_the_branches_of_an_or_are_indexed_together_or_not_at_all() -> None:
    sql = "SELECT id FROM orders WHERE customer_id = $1 OR shop_id = $2"
    costs = {("orders (customer_id)", "orders (shop_id)"): 500.0}
    assert set(bodies(advise(sql, CostTable(costs), extensions=NONE))) == {"orders (customer_id)", "orders (shop_id)"}
    half = {**TABLES, (None, "orders"): replace(ORDERS, indexes=(index("x", "shop_id"),))}
    known = CostTable({("orders (customer_id)",): 500.0}, known=half)
    assert bodies(advise(sql, known, extensions=NONE)) == ["orders (customer_id)"]


def test_never_more_than_three() -> None:
    sql = "SELECT 1 FROM orders WHERE customer_id = 1 AND shop_id = 2 AND created_at > $1 AND local_at > $2"
    names = [f"orders ({name})" for name in ("customer_id", "shop_id", "created_at", "local_at")]
    costs = {tuple(names[: count + 1]): 30_000.0 / 10**count for count in range(4)}
    assert len(advise(sql, CostTable(costs), extensions=NONE).indexes) <= 3


def test_a_rare_state_written_in_the_statement_makes_a_partial_index_judged_by_the_complete_one() -> None:
    sql = "SELECT id FROM orders WHERE status = 'open' ORDER BY created_at LIMIT 20"
    planner = CostTable({("orders (status, created_at)",): 15.0})
    advice = advise(sql, planner, extensions=NONE)
    assert bodies(advice) == ["orders (created_at) WHERE status = 'open'"]
    assert not any("WHERE" in name for asked in planner.seen for name in asked)
    parameter = advise(sql.replace("'open'", "$1"), planner, extensions=NONE)
    assert bodies(parameter) == ["orders (status, created_at)"]


def test_a_constant_among_thousands_is_no_state() -> None:
    sql = "SELECT id FROM orders WHERE customer_id = 77"
    advice = advise(sql, CostTable({("orders (customer_id)",): 15.0}), extensions=NONE)
    assert bodies(advice) == ["orders (customer_id)"]


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("email", "orders (email text_pattern_ops)"),
        ("code", "orders (code varchar_pattern_ops)"),
        ("plain", "orders (plain)"),
    ],
)
def test_a_prefix_needs_its_operator_class_unless_compared_by_bytes(column: str, key: str) -> None:
    sql = where(f"{column} LIKE 'abc%'")
    assert bodies(advise(sql, CostTable({(key,): 9.0}), extensions=NONE)) == [key]


SEQ_SCAN = {"Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Filter": "…", "Plan Rows": 30}


@pytest.mark.parametrize(
    ("condition", "extensions", "key"),
    [
        ("data @> $1", NONE, "orders USING gin (data jsonb_path_ops)"),
        ("data ? 'k'", NONE, "orders USING gin (data)"),
        ("tags @> ARRAY['x']", NONE, "orders USING gin (tags)"),
        ("words @@ to_tsquery('x')", NONE, "orders USING gin (words)"),
        ("email ILIKE '%abc%'", Extensions("Ext X"), 'orders USING gin (email "Ext X".gin_trgm_ops)'),
    ],
)
def test_containment_gets_a_gin_index_that_says_it_is_not_validated(
    condition: str, extensions: Extensions, key: str
) -> None:
    planner = CostTable({}, root=SEQ_SCAN)
    advice = advise(where(condition), planner, extensions=extensions)
    assert bodies(advice) == [key]
    assert not advice.indexes[0].validated
    assert "GIN" in advice.reason
    assert not any("gin" in name for asked in planner.seen for name in asked)


def test_without_hypopg_the_statistics_speak_and_say_so() -> None:
    planner = CostTable({}, validates=False, root=SEQ_SCAN)
    advice = advise("SELECT id FROM orders WHERE customer_id = $1", planner, extensions=NONE)
    assert bodies(advice) == ["orders (customer_id)"]
    (one,) = advice.indexes
    assert (one.validated, one.cost_before) == (False, 40_000.0)
    assert one.cost_after is not None
    assert one.cost_after < 1000
    assert "not validated" in advice.reason
    assert planner.seen == [()]


@pytest.mark.parametrize(
    ("sql", "changes", "reason"),
    [
        ("SELECT 1; SELECT 2", {}, "not understood"),
        (BY_CUSTOMER, {"refused": "permission denied for table orders"}, "permission denied"),
        (BY_CUSTOMER, {"base": 400.0}, "cheap as it is"),
        ("SELECT count(*) FROM orders", {}, "no condition or order"),
        ("SELECT id FROM orders WHERE email LIKE $1", {}, "parameter"),
        ("SELECT id FROM orders WHERE created_at::date = $1", {}, "time zone"),
        (BY_CUSTOMER, {}, "none of the possible indexes"),
        (BY_CUSTOMER, {"costs": {("orders (customer_id)",): 36_000.0}}, "10 % off"),
        ("SELECT 1 FROM elsewhere WHERE a = 1", {}, "no table that could be indexed"),
    ],
)
def test_where_nothing_helps_the_reason_is_said(sql: str, changes: dict[str, Any], reason: str) -> None:
    advice = advise(sql, CostTable(**{"costs": {}, **changes}), extensions=NONE)
    assert advice.indexes == ()
    assert reason in advice.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 300.0}, "small table"),
        ({"temporary": True}, "temporary"),
        ({"kind": "f"}, "foreign"),
        ({"kind": "v"}, "view"),
        ({"schema": "pg_catalog"}, "system"),
    ],
)
def test_some_tables_are_never_indexed(changes: dict[str, Any], reason: str) -> None:
    known = {(None, "orders"): replace(ORDERS, **changes)}
    planner = CostTable({("orders (customer_id)",): 5.0}, known=known)
    advice = advise(BY_CUSTOMER, planner, extensions=NONE)
    assert (advice.indexes, reason in advice.reason) == ((), True)


def test_an_index_that_is_there_is_not_advised_and_an_invalid_one_is_not_counted() -> None:
    costs = {("orders (customer_id, created_at)",): 12.0}
    there = replace(ORDERS, indexes=(index("there", "customer_id", "created_at", "id"),))
    planner = CostTable(costs, known={(None, "orders"): there})
    advice = advise(BY_CUSTOMER, planner, extensions=NONE)
    assert "orders (customer_id, created_at)" not in bodies(advice)
    invalid = replace(ORDERS, indexes=(index("broken", "customer_id", "created_at", usable=False),))
    again = advise(BY_CUSTOMER, CostTable(costs, known={(None, "orders"): invalid}), extensions=NONE)
    assert bodies(again) == ["orders (customer_id, created_at)"]
    assert "INVALID index broken" in again.reason


def test_what_the_new_index_makes_redundant_is_named() -> None:
    known = {(None, "orders"): replace(ORDERS, indexes=(index("narrow", "customer_id"),))}
    planner = CostTable({("orders (customer_id, created_at)",): 12.0}, known=known)
    assert "makes narrow redundant" in advise(BY_CUSTOMER, planner, extensions=NONE).reason


def test_a_column_that_is_updated_all_the_time_counts_against_the_index() -> None:
    costs = {("orders (customer_id, created_at)",): 100.0, ("orders (customer_id)",): 600.0}
    assert bodies(advise(BY_CUSTOMER, CostTable(costs), extensions=NONE)) == ["orders (customer_id, created_at)"]
    hot = {(None, "orders"): replace(ORDERS, updated_columns=frozenset({"created_at"}))}
    assert bodies(advise(BY_CUSTOMER, CostTable(costs, known=hot), extensions=NONE)) == ["orders (customer_id)"]


def test_a_budget_is_kept() -> None:
    planner = CostTable({("orders (customer_id)",): 12.0})
    advice = advise(BY_CUSTOMER, planner, extensions=NONE, max_bytes=1_000_000)
    assert (advice.indexes, "budget" in advice.reason) == ((), True)


def test_a_table_that_is_not_visible_is_no_crash() -> None:
    planner = CostTable({}, known={(None, "orders"): NotVisible("table orders", "permission denied")})
    assert advise(BY_CUSTOMER, planner, extensions=NONE).indexes == ()


def test_a_write_is_not_advised_a_covering_index() -> None:
    planner = CostTable({("orders (customer_id)",): 12.0})
    advise("UPDATE orders SET status = 'x' WHERE customer_id = 5", planner, extensions=NONE)
    assert not any("INCLUDE" in name for asked in planner.seen for name in asked)
