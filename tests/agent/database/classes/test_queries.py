"""Judgements about queries and what they do to the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.database.classes import (
    correlated_columns,
    foreign_key_without_index,
    missing_index,
    outdated_statistics,
    oversized_result,
    plan_flip,
    query_shape,
    sequence_exhaustion,
    table_bloat,
    temp_file_spill,
    write_surge,
)
from agent.database.doctor import judged
from agent.database.finding import Finding
from agent.database.limits import Limits
from agent.database.parameters import Compared, compared
from agent.database.reading_part import reading_part
from agent.database.rewrite import Rewrite
from agent.database.snapshot import ColumnFacts, Comparison, NotVisible, Plan, TableFacts, WhatIf
from agent.database.statements import ran
from connectors.target.memory import MemoryTarget
from tests.agent.database.classes.workload_examples import (
    HIDDEN,
    a_second_of,
    scan,
    statement,
    table,
    taken,
    text,
    work,
)

BY_CUSTOMER = "SELECT id FROM orders WHERE customer_id = $1"


def findings(judgement: tuple[Finding | NotVisible, ...]) -> list[Finding]:
    return [one for one in judgement if isinstance(one, Finding)]


def test_the_spread_of_times_in_a_window_is_told_from_two_readings() -> None:
    squares = 90 * 1.0**2 + 10 * 41.0**2
    readings = taken(**a_second_of(BY_CUSTOMER, calls=100, total_exec_ms=500.0, sum_squared_ms=squares))
    found = ran(readings)
    assert not isinstance(found, NotVisible)
    assert found[0].mean_ms == 5.0
    assert found[0].spread_ms == pytest.approx(12.0)


def test_statements_hidden_from_us_are_said_to_be_hidden() -> None:
    readings = taken(**a_second_of(BY_CUSTOMER))
    readings = readings.with_rows("statements", (statement(queryid=None),))
    (hidden,) = oversized_result.judge(readings)
    assert isinstance(hidden, NotVisible)
    assert "pg_monitor" in hidden.grant


def advised(target: MemoryTarget, **delta: Any) -> list[Finding]:
    readings = taken(**a_second_of(BY_CUSTOMER, scan(), **delta))
    return findings(missing_index.judge(missing_index.follow_up(readings, target)))


def shop(what_if: WhatIf | None = None, rows: int = 200_000) -> MemoryTarget:
    columns = (ColumnFacts("id", "bigint", -1.0, 0.0, 8), ColumnFacts("customer_id", "bigint", 20_000.0, 0.0, 8))
    facts = TableFacts("public", "orders", columns, (), rows, 12_000_000, partitioned=False)
    what_ifs: dict[tuple[str, ...], WhatIf] = {("customer_id",): what_if} if what_if else {}
    return MemoryTarget(tables={("public", "orders"): facts}, what_ifs=what_ifs)


def test_a_missing_index_is_proposed_as_the_action_that_builds_it() -> None:
    (finding,) = advised(shop())
    assert finding.action is not None
    assert finding.action.params["columns"] == ["customer_id"]
    assert "not validated" in finding.evidence[1]
    (tried,) = advised(shop(WhatIf(5000.0, 9.0, 4_000_000, used=True)))
    assert "HypoPG" in tried.evidence[1]


@pytest.mark.parametrize(("version", "proposed"), [(140_003, False), (140_004, True), (180_000, True)])
def test_no_index_is_built_where_it_would_be_corrupted(version: int, proposed: bool) -> None:
    readings = taken(**a_second_of(BY_CUSTOMER, scan()), version=version)
    (finding,) = findings(missing_index.judge(missing_index.follow_up(readings, shop())))
    assert (finding.action is not None) is proposed
    assert ("14.4" in finding.advice) is not proposed


def test_an_index_that_the_planner_would_not_use_is_not_advised() -> None:
    assert advised(shop(WhatIf(5000.0, 9.0, 4_000_000, used=False))) == []


@pytest.mark.parametrize("delta", [{"calls": 1000}, {"total_exec_ms": 100.0, "calls": 100}])
def test_a_fast_statement_wants_no_index(delta: dict[str, Any]) -> None:
    assert advised(shop(), **delta) == []


def test_a_plan_that_was_not_to_be_had_is_said_and_what_would_show_it() -> None:
    readings = taken(**a_second_of(BY_CUSTOMER))
    denied = {"userid": 10, "queryid": 7, "root": None, "why": "permission denied for table orders"}
    (hidden,) = missing_index.judge(readings.with_rows("statement_plans", (denied,)))
    assert isinstance(hidden, NotVisible)
    assert hidden.grant == "GRANT pg_read_all_data TO <diagnose role>"


@pytest.mark.parametrize(
    ("query", "reading"),
    [
        ("UPDATE orders SET a = $1, b = $2 WHERE customer_id = $3 AND a < $1", True),
        ("DELETE FROM orders o WHERE customer_id = $1", True),
        ("SELECT id FROM orders WHERE customer_id = $1 FOR UPDATE SKIP LOCKED", True),
        ("UPDATE orders SET a = $1", False),
        ("DELETE FROM orders USING customers c WHERE c.id = customer_id", False),
        ("INSERT INTO orders SELECT * FROM orders", False),
        ("SELECT id FROM orders WHERE customer_id = $1", False),
        ("<insufficient privilege>", False),
    ],
)
def test_of_a_write_the_rows_it_looks_for_are_planned(query: str, reading: bool) -> None:
    text_ = reading_part(query)
    assert (text_ != query) is reading
    assert not reading or text_.startswith("SELECT")
    assert not reading or "UPDATE" not in text_
    assert "$3" not in text_


def test_an_update_by_a_column_without_an_index_wants_one() -> None:
    readings = taken(**a_second_of("UPDATE orders SET total = $1 WHERE customer_id = $2", scan()))
    (finding,) = findings(missing_index.judge(missing_index.follow_up(readings, shop())))
    assert finding.action is not None
    assert finding.action.params["columns"] == ["customer_id"]


def test_a_small_table_wants_no_index() -> None:
    assert advised(shop(rows=5_000)) == []


STALE = table(modified_since_analyze=60_000)


def estimated(rows: int, row: dict[str, Any], given: int = 5_000) -> list[Finding]:
    readings = taken(**a_second_of(BY_CUSTOMER, scan(**{"Plan Rows": rows}), rows=given * 100), tables=(row,))
    return findings(outdated_statistics.judge(readings))


def test_outdated_statistics_need_a_wrong_estimate_and_a_changed_table() -> None:
    (finding,) = estimated(10, STALE)
    assert finding.action is not None
    assert finding.action.command == "ANALYZE public.orders"
    assert estimated(4_000, STALE) == []
    assert estimated(10, table()) == []
    assert estimated(10, table(analyzed_age_s=None, modified_since_analyze=5))


def test_of_a_handful_of_rows_an_estimate_may_be_far_off() -> None:
    assert estimated(1, STALE, given=50) == []


def together(expected: int, given: int, known: tuple[dict[str, Any], ...] = (), **row: Any) -> list[Finding]:
    columns = (ColumnFacts("city", "integer", 100.0, 0.0, 4), ColumnFacts("country", "integer", 50.0, 0.0, 4))
    facts = TableFacts("public", "orders", columns, (), 30_000, 1_000_000, partitioned=False)
    target = MemoryTarget(tables={("public", "orders"): facts}, taken={"extended_statistics": known})
    query = "SELECT id FROM orders WHERE city = $1 AND country = $2"
    readings = taken(**a_second_of(query, scan(**{"Plan Rows": expected}), rows=given * 100), tables=(table(**row),))
    return findings(correlated_columns.judge(correlated_columns.follow_up(readings, target)))


def test_columns_go_together_when_the_most_selective_one_alone_gives_the_rows() -> None:
    (finding,) = together(6, 300)
    assert finding.action is not None
    assert finding.action.params["columns"] == ["city", "country"]
    assert together(250, 300) == []
    assert together(6, 20_000) == []
    assert together(6, 300, known=({"name": "s", "columns": ["city", "country"]},)) == []
    assert together(6, 300, modified_since_analyze=60_000) == []


INDEXED = scan(**{"Node Type": "Index Scan", "Index Name": "orders_state", "Total Cost": 8.0})


def flipped(setting: str | None = None, common: dict[str, Any] | None = None, **delta: Any) -> list[Finding]:
    plans = {
        "queryid": 7,
        "column": "public.orders.state",
        "common_share": 0.99,
        "common": common or scan(),
        "rare": INDEXED,
    }
    role = ({"role": "shop_app", "database": None, "setting": "plan_cache_mode", "value": setting},) if setting else ()
    readings = taken(**a_second_of(BY_CUSTOMER, scan(), **delta), value_plans=(plans,), role_settings=role)
    return findings(plan_flip.judge(readings))


def test_a_plan_flip_is_cured_by_planning_with_the_values() -> None:
    (finding,) = flipped()
    assert finding.action is not None
    assert finding.action.command == "ALTER ROLE shop_app SET plan_cache_mode = 'force_custom_plan'"
    assert finding.action.rollback == "ALTER ROLE shop_app RESET plan_cache_mode"
    assert "not shown before 18" in finding.evidence[2]
    (known,) = flipped(setting="auto", generic_calls=90)
    assert known.action is not None
    assert known.action.rollback.endswith("= 'auto'")
    assert "90 of the 100" in known.evidence[2]


def test_it_is_no_plan_flip_when_all_values_want_one_plan_or_have_their_own() -> None:
    assert flipped(common=INDEXED) == []
    assert flipped(setting="force_custom_plan") == []


def test_only_statements_of_two_kinds_of_times_have_their_plans_compared() -> None:
    target = MemoryTarget()
    steady = taken(**a_second_of(BY_CUSTOMER, scan(), min_exec_ms=8.0, sum_squared_ms=8200.0), role_settings=())
    assert plan_flip.follow_up(steady, target).rows("value_plans") == ()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT 1 FROM a.t WHERE x = $1 AND $2 < y", ("x", "y")),
        ("SELECT 1 FROM a.t u JOIN a.v w ON u.id = w.id WHERE u.x = $1 AND w.y >= $2", ("x", "y")),
        ("SELECT 1 FROM a.t WHERE x = $1 LIMIT $2", None),
        ("SELECT 1 FROM a.t, a.v WHERE x = $1", None),
        ("SELECT 1 FROM a.t WHERE x = $1 OR y = $1", None),
        ("SELECT 1 FROM a.t WHERE lower(x) = $1", None),
        ("SELECT 1 FROM a.t WHERE x = $2", None),
        ("SELECT 1 FROM a.t WHERE (", None),
    ],
)
def test_parameters_are_known_by_the_columns_they_are_compared_with(query: str, found: tuple[str, ...] | None) -> None:
    result = compared(query)
    assert (None if result is None else tuple(one.column for one in result)) == found
    assert result is None or isinstance(result[0], Compared)


def spilled(temp_bytes: int, role: tuple[dict[str, Any], ...] = (), blocks: int = 1_000) -> list[Finding]:
    readings = taken(
        **a_second_of("SELECT * FROM orders ORDER BY 1", calls=1, temp_blks_written=blocks) | {"before": {}},
        database_work=(work(temp_bytes=temp_bytes),),
        role_settings=role,
        settings=({"name": "work_mem", "value": "4096", "unit": "kB", "source": "default"},),
    )
    readings = replace(readings, before={"statements": (statement(),), "database_work": (work(),)})
    return findings(temp_file_spill.judge(readings))


def test_a_spill_is_cured_by_more_memory_for_one_role_alone() -> None:
    (finding,) = spilled(12_000_000, blocks=1_400)
    assert finding.action is not None
    assert finding.action.command == "ALTER ROLE shop_app SET work_mem = '64MB'"
    assert spilled(1_000_000) == []


def test_what_needs_too_much_memory_is_not_given_it() -> None:
    (finding,) = spilled(900_000_000, blocks=100_000)
    assert finding.action is None
    assert "too much for a setting" in finding.advice


def test_a_setting_for_one_database_goes_before_the_roles_own_so_nothing_is_proposed() -> None:
    role = {"role": "shop_app", "database": "shop", "setting": "work_mem", "value": "8MB"}
    (finding,) = spilled(12_000_000, (role,), blocks=1_400)
    assert finding.action is None


def test_a_spill_of_many_statements_has_nobody_to_blame() -> None:
    (finding,) = spilled(90_000_000, blocks=100)
    assert finding.action is None
    assert "No single statement" in finding.advice


def surged(now: dict[str, Any], before: dict[str, Any], *queries: dict[str, Any]) -> list[Finding]:
    readings = taken(
        database_work=(work(**now),),
        before={"database_work": (work(**before),), "statements": (statement(),), "tables": (table(),)},
        statements=(statement(calls=50, rows=50_000, total_exec_ms=10.0),),
        statement_texts=queries,
        tables=(table(inserted=50_000),),
        busy_sessions=(
            {"pid": 1, "user": "shop_app", "application": "importer", "state": "active", "query_start": "1",
             "visible": True},
        ),
    )  # fmt: skip
    return findings(write_surge.judge(readings))


def test_a_surge_is_told_from_the_rate_before_and_names_who_does_it() -> None:
    earlier = {"inserted": 864_000, "counted_s": 86_400.0}
    (finding,) = surged({"inserted": 914_000, "counted_s": 86_401.0}, earlier, text("INSERT INTO orders VALUES ($1)"))
    assert finding.title == (
        "Inserts rose to 50000 a second, 5000 times as many as before; role shop_app, application importer does most"
        " of it"
    )
    assert finding.action is None
    assert finding.data["table"] == "public.orders"


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({"inserted": 500}, {}),
        ({"inserted": 172_850_000}, {"inserted": 172_800_000, "counted_s": 8_640.0}),
        ({"inserted": 50_000, "counted_s": 1.1}, {"counted_s": 0.1}),
        ({"inserted": 50_000, "reset_at": "2026-01-01"}, {"inserted": 60_000}),
    ],
    ids=["few", "as always", "no time before", "reset meanwhile"],
)
def test_what_is_usual_or_has_no_before_is_no_surge(now: dict[str, Any], before: dict[str, Any]) -> None:
    assert surged(now, before) == []


def test_commits_are_the_surge_only_where_rows_are_not() -> None:
    both = {"commits": 60_000, "inserted": 50_000}
    (rows,) = surged(both, {})
    assert rows.data["kind"] == "inserted"
    (commits,) = surged({"commits": 60_000}, {}, text("SELECT 1"))
    assert commits.data["kind"] == "commits"
    assert "each transaction" in commits.advice


def test_many_rows_a_call_are_too_many_unless_asked_for_once() -> None:
    query = "SELECT * FROM orders"
    assert findings(oversized_result.judge(taken(**a_second_of(query, calls=5, rows=100_000))))
    assert not findings(oversized_result.judge(taken(**a_second_of(query, calls=1, rows=100_000))))
    assert not findings(oversized_result.judge(taken(**a_second_of(query, calls=5, rows=10_000))))
    copy = a_second_of("COPY orders TO STDOUT", calls=5, rows=100_000)
    assert not findings(oversized_result.judge(taken(**copy)))


KEY = {
    "name": "visits_guest",
    "relid": 2,
    "schema": "public",
    "table": "visits",
    "rows": 50_000.0,
    "bytes": 4_000_000,
    "columns": ["guest_id"],
    "parent_relid": 1,
    "parent_schema": "public",
    "parent": "guests",
}


def deleted(child: dict[str, Any], parent: int = 20, **key: Any) -> list[Finding]:
    rows = (table("guests", deleted=parent), table("visits", relid=2, **child))
    readings = taken(
        foreign_keys_without_index=(KEY | key,),
        tables=rows,
        before={"tables": (table("guests"), table("visits", relid=2))},
    )
    return findings(foreign_key_without_index.judge(readings))


def test_a_foreign_key_wants_an_index_when_deletes_read_the_child() -> None:
    (finding,) = deleted({"seq_scan": 20, "seq_tup_read": 1_000_000})
    assert finding.action is not None
    assert finding.action.params["columns"] == ["guest_id"]


@pytest.mark.parametrize(
    ("child", "parent"),
    [({"seq_scan": 20, "seq_tup_read": 1_000_000}, 0), ({"seq_scan": 1, "seq_tup_read": 50_000}, 20),
     ({"seq_scan": 20, "seq_tup_read": 200}, 20)],
    ids=["no deletes", "fewer scans than deletes", "scans that end early"],
)  # fmt: skip
def test_a_foreign_key_without_an_index_alone_is_no_incident(child: dict[str, Any], parent: int) -> None:
    assert deleted(child, parent) == []


def bloat(row: dict[str, Any], **more: Any) -> list[Finding]:
    quiet: dict[str, Any] = dict.fromkeys(
        ("vacuums", "vacuum_needs", "settings", "sessions", "prepared", "slots", "standbys"), ()
    )
    return findings(table_bloat.judge(taken(tables=(row,), **quiet | more)))


def test_dead_rows_are_vacuumed_away() -> None:
    (finding,) = bloat(table(dead_rows=60_000))
    assert finding.action is not None
    assert finding.action.command == "VACUUM (ANALYZE) public.orders"
    assert bloat(table(dead_rows=9_000)) == []
    assert bloat(table(dead_rows=20_000, live_rows=0, planner_rows=200_000.0)) == []


def test_a_table_that_is_being_vacuumed_is_left_alone() -> None:
    assert bloat(table(dead_rows=60_000), vacuums=({"table": "public.orders"},)) == []
    assert bloat(table("Or ders", dead_rows=60_000), vacuums=({"table": 'public."Or ders"'},)) == []


SERIAL = {
    "schema": "public",
    "name": "orders_id_seq",
    "smallest": 1,
    "increment": 1,
    "cycles": False,
    "type": "integer",
    "largest": 2_147_483_647,
    "table_schema": "public",
    "table": "orders",
    "column": "id",
    "column_type": "integer",
    "rows": 1e9,
    "readable": True,
    "last_value": 1_900_000_000,
}


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "warning"),
        ({"last_value": 2_100_000_000}, "critical"),
        ({"last_value": 1_000_000_000}, None),
        ({"last_value": None}, None),
        ({"cycles": True}, None),
        ({"increment": -1}, None),
    ],
)
def test_a_sequence_is_exhausted_by_the_share_it_has_used(changes: dict[str, Any], severity: str | None) -> None:
    found = findings(sequence_exhaustion.judge(taken(sequences=(SERIAL | changes,))))
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_the_recipe_for_a_small_column_never_rewrites_the_table() -> None:
    (finding,) = findings(sequence_exhaustion.judge(taken(sequences=(SERIAL,))))
    assert finding.action is None
    for step in (
        "Never ALTER COLUMN id TYPE bigint",
        "ADD COLUMN id_bigint bigint",
        "NOT VALID",
        "VALIDATE CONSTRAINT",
    ):
        assert step in finding.advice
    (wide,) = findings(sequence_exhaustion.judge(taken(sequences=(SERIAL | {"column_type": "bigint"},))))
    assert wide.advice.startswith("The column is a bigint already")


def test_the_values_of_hidden_sequences_are_not_visible() -> None:
    judged_ = sequence_exhaustion.judge(taken(sequences=(SERIAL | {"readable": False, "last_value": None},)))
    assert [type(one) for one in judged_] == [NotVisible]


def shaped(comparison: Comparison | NotVisible | None, kind: str = "equal") -> tuple[Finding | NotVisible, ...]:
    row = {
        "query": "SELECT 1",
        "why": "it is slow",
        "rewrite": Rewrite("negated_in", "hint" if kind == "hint" else "equal", "SELECT 2", "why").as_data(),
        "cost_before": 1000.0,
        "cost_after": None if kind == "hint" else 10.0,
        "compared": comparison.as_data() if comparison else None,
    }
    return query_shape.judge(taken(**a_second_of("SELECT 1"), rewrites=(row,), sessions=()))


def test_a_rewrite_says_whether_it_was_checked() -> None:
    (checked,) = findings(shaped(Comparison(12, 0, 0)))
    assert "the same 12 rows" in checked.evidence[2]
    assert "SELECT 2" in checked.advice
    assert checked.action is None
    (vacuous,) = findings(shaped(Comparison(0, 0, 0)))
    assert vacuous.evidence[2].startswith("Not checked")
    (unchecked,) = findings(shaped(NotVisible("it", "it has parameters")))
    assert "it has parameters" in unchecked.evidence[2]
    (hint,) = findings(shaped(None, "hint"))
    assert "The application would ask" in hint.advice


def test_a_rewrite_that_gave_other_rows_is_never_shown() -> None:
    (refused,) = shaped(Comparison(12, 1, 0))
    assert isinstance(refused, NotVisible)


def test_a_query_is_rewritten_by_the_shapes_and_plans_of_its_target() -> None:
    query = "SELECT id FROM public.orders WHERE ref NOT IN (SELECT id FROM public.customers)"
    other = (
        "SELECT orders.id FROM public.orders WHERE NOT EXISTS(SELECT 1 FROM public.customers WHERE orders.ref ="
        " customers.id)"
    )
    shapes = tuple(
        {"schema": "public", "table": name, "columns": ["id", "ref"], "not_null": [True, True],
         "families": ["int", "int"], "keys": '[["id"]]'}
        for name in ("orders", "customers")
    )  # fmt: skip
    target = MemoryTarget(
        plans={query: Plan(scan(**{"Total Cost": 9e6})), other: Plan(scan(**{"Total Cost": 900.0}))},
        taken={"relation_shapes": shapes},
        comparisons={(query, other): Comparison(3, 0, 0)},
    )
    readings = query_shape.follow_up(taken(**a_second_of(query, total_exec_ms=9_000.0), sessions=()), target)
    (finding,) = findings(query_shape.judge(readings))
    assert other in finding.advice


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        (outdated_statistics.judge, "tables"),
        (oversized_result.judge, "statements"),
        (temp_file_spill.judge, "database_work"),
        (write_surge.judge, "database_work"),
        (foreign_key_without_index.judge, "foreign_keys_without_index"),
        (table_bloat.judge, "tables"),
        (sequence_exhaustion.judge, "sequences"),
        (missing_index.judge, "statements"),
        (plan_flip.judge, "statements"),
        (query_shape.judge, "statements"),
    ],
)
def test_what_is_hidden_is_handed_on(judge: Any, name: str) -> None:
    assert judge(taken().with_rows(name, HIDDEN)) == (HIDDEN,)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    report = judged(
        taken(
            tables=(table(),),
            statements=(statement(),),
            statement_texts=(),
            before={"tables": (table(),), "statements": (statement(),), "database_work": (work(),)},
            database_work=(work(),),
            limits=Limits(),
        )
    )
    assert report.findings == ()
