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


LATEST = "SELECT * FROM orders WHERE customer_id = $1 ORDER BY id DESC LIMIT 5"


def walked(rows: float, *, cost: float = 40_000.0, wanted: float = 5, **changes: Any) -> dict[str, Any]:
    """The first rows of a walk backwards along the primary key that throws away what the filter does not pass."""
    scan = {
        "Node Type": "Index Scan",
        "Relation Name": "orders",
        "Schema": "public",
        "Index Name": "orders_pkey",
        "Filter": "…",
        "Startup Cost": 0.4,
        "Plan Rows": rows,
        "Total Cost": cost,
        **changes,
    }
    return {"Node Type": "Limit", "Startup Cost": 0.4, "Plan Rows": wanted, "Plans": [scan]}


def estimated(sql: str, root: dict[str, Any], base: float, **changes: Any) -> Advice:
    planner = CostTable({}, validates=False, root=root, base=base, **changes)
    return advise(sql, planner, extensions=NONE)


def test_without_hypopg_a_walk_along_the_primary_key_with_a_filter_is_compared_like_any_scan() -> None:
    advice = estimated(LATEST, walked(20), 10_000.0)
    assert bodies(advice) == ["orders (customer_id)"]
    (one,) = advice.indexes
    assert (one.validated, one.cost_before) == (False, 10_000.0)
    assert one.cost_after is not None
    assert 80 < one.cost_after < 100  # 20 pages at random, and the sort


def test_without_hypopg_rows_that_must_all_be_fetched_and_sorted_first_are_paid_in_full() -> None:
    sql = "SELECT * FROM orders WHERE shop_id = $1 ORDER BY id LIMIT 90"
    advice = estimated(sql, walked(2000, wanted=90), 1800.0)
    assert bodies(advice) == ["orders (shop_id, id)"]  # (shop_id) alone finds 2000 rows: dearer than the walk


@pytest.mark.parametrize(
    ("sql", "root", "base"),
    [
        # Nearly all rows pass, so the walk ends at once: the LIMIT's cost counts, not the scan's.
        ("SELECT * FROM orders WHERE status = $1 ORDER BY id DESC LIMIT 9000", walked(250_000, wanted=9000), 1440.0),
        ("SELECT * FROM orders WHERE created_at > $1 ORDER BY id LIMIT 9000", walked(330_000, wanted=9000), 1090.0),
        # What a join looks up by index, once for each row of the other side, is left alone.
        (
            "SELECT 1 FROM items i JOIN orders o ON o.id = i.order_id WHERE o.customer_id = $1 AND i.qty = 3",
            {
                "Node Type": "Nested Loop",
                "Plans": [
                    {"Node Type": "Result", "Plan Rows": 9000, "Total Cost": 100.0},
                    walked(1, cost=4.0)["Plans"][0] | {"Index Cond": "…"},
                ],
            },
            40_000.0,
        ),
    ],
)
def test_without_hypopg_a_walk_that_ends_soon_gets_no_advice(sql: str, root: dict[str, Any], base: float) -> None:
    advice = estimated(sql, root, base)
    assert advice.indexes == ()
    assert advice.reason


def test_without_hypopg_a_limit_cuts_short_the_index_that_is_estimated_as_much_as_the_scan_that_is_there() -> None:
    scan = {**SEQ_SCAN, "Plan Rows": 20, "Startup Cost": 0.0, "Total Cost": 40_000.0}
    root = {"Node Type": "Limit", "Startup Cost": 0.0, "Plan Rows": 5, "Plans": [scan]}
    (one,) = estimated("SELECT * FROM orders WHERE customer_id = $1 LIMIT 5", root, 10_000.0).indexes
    assert one.cost_after is not None
    assert 15 < one.cost_after < 30
    many = root | {"Plans": [scan | {"Plan Rows": 250_000}]}
    assert estimated("SELECT * FROM orders WHERE status = $1 LIMIT 90000", many, 14_400.0).indexes == ()


def test_without_hypopg_an_order_does_not_make_up_for_conditions_the_index_does_not_find() -> None:
    sort = {"Node Type": "Sort", "Startup Cost": 39_990.0, "Total Cost": 40_000.0, "Plan Rows": 20}
    scan = {**SEQ_SCAN, "Plan Rows": 20, "Startup Cost": 0.0, "Total Cost": 39_990.0}
    root = {"Node Type": "Limit", "Startup Cost": 39_990.0, "Plan Rows": 10, "Plans": [sort | {"Plans": [scan]}]}
    assert bodies(estimated(BY_CUSTOMER, root, 39_995.0)) == ["orders (customer_id)"]
    rare = "SELECT id FROM orders WHERE created_at::text = $1 ORDER BY created_at LIMIT 10"
    assert estimated(rare, root, 39_995.0).indexes == ()


def test_without_hypopg_a_narrow_range_beside_a_wide_condition_is_known_by_the_planners_rows() -> None:
    sql = "DELETE FROM orders WHERE created_at < '2024-01-01Z' AND closed_at IS NOT NULL"
    (one,) = estimated(sql, {**SEQ_SCAN, "Plan Rows": 300, "Total Cost": 40_000.0}, 40_000.0).indexes
    assert one.definition.columns == ("created_at",)
    wide = {**SEQ_SCAN, "Plan Rows": 300_000, "Total Cost": 40_000.0}
    assert estimated(sql, wide, 40_000.0).indexes == ()
    # Of two ranges it is open which one leaves few rows.
    two = "SELECT * FROM orders WHERE created_at < '2024-01-01Z' AND local_at > '2024-01-01'"
    assert estimated(two, {**SEQ_SCAN, "Plan Rows": 300, "Total Cost": 40_000.0}, 40_000.0).indexes == ()


def test_without_hypopg_a_subquery_is_run_for_the_rows_an_index_finds_too() -> None:
    inner = {"Node Type": "Result", "Parent Relationship": "SubPlan", "Subplan Name": "SubPlan 1", "Total Cost": 900.0}
    root = {**SEQ_SCAN, "Plan Rows": 20, "Plans": [inner]}
    sql = "SELECT id FROM orders WHERE customer_id = $1"
    (one,) = estimated(sql, {"Node Type": "Result", "Plans": [root | {"Total Cost": 90_000.0}]}, 90_000.0).indexes
    assert one.cost_after is not None
    assert 18_000 < one.cost_after < 18_200
    once = root | {"Total Cost": 90_000.0, "Filter": "(NOT (hashed SubPlan 1))"}
    (one,) = estimated(sql, {"Node Type": "Result", "Plans": [once]}, 90_000.0).indexes
    assert one.cost_after is not None
    assert one.cost_after < 100


@pytest.mark.parametrize(
    ("there", "sql", "said"),
    [(True, LATEST, True), (False, LATEST, False), (True, "SELECT id FROM orders WHERE status = $1", True)],
)
def test_hypopg_is_named_where_the_server_has_it_and_the_database_not(there: bool, sql: str, said: bool) -> None:
    advice = estimated(sql, walked(20), 10_000.0, could_validate=there)
    assert ("CREATE EXTENSION hypopg" in advice.reason) is said


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
