"""Judgements about indexes: invalid, unused, repeated, bloated, too many, and one that costs the updates."""

from __future__ import annotations

from typing import Any

import pytest

from agent.database.classes import (
    duplicate_index,
    hot_update_loss,
    index_bloat,
    invalid_index,
    too_many_indexes,
    unused_index,
)
from agent.database.finding import Finding
from agent.database.snapshot import NotVisible
from tests.agent.database.classes.workload_examples import (
    HIDDEN,
    a_second_of,
    index,
    statement,
    table,
    taken,
    text,
    work,
)

INVALID = {"ready": True, "unique": False, "hidden_builds": 0}


def only(judgement: tuple[Finding | NotVisible, ...]) -> Finding:
    (finding,) = [one for one in judgement if isinstance(one, Finding)]
    return finding


def test_an_invalid_index_is_dropped_concurrently_and_built_again_without_if_not_exists() -> None:
    finding = only(invalid_index.judge(taken(invalid_indexes=(index(**INVALID),))))
    assert finding.action is not None
    assert finding.action.command == "DROP INDEX CONCURRENTLY public.orders_total"
    assert "without IF NOT EXISTS" in finding.advice
    assert finding.severity == "warning"


@pytest.mark.parametrize("changes", [{"unique": True}, {"plain": False}, {"columns": [None]}, {"columns": ["a", None]}])
def test_an_index_that_is_more_than_its_columns_is_left_to_a_person(changes: dict[str, Any]) -> None:
    finding = only(invalid_index.judge(taken(invalid_indexes=(index(**INVALID | changes),))))
    assert finding.action is None
    assert "DROP INDEX CONCURRENTLY public.orders_total" in finding.advice


def test_what_may_be_a_build_under_way_is_not_called_invalid() -> None:
    (hidden,) = invalid_index.judge(taken(invalid_indexes=(index(**INVALID | {"hidden_builds": 1}),)))
    assert isinstance(hidden, NotVisible)
    assert "pg_monitor" in hidden.grant


def test_what_a_rebuild_left_is_not_built_again() -> None:
    finding = only(invalid_index.judge(taken(invalid_indexes=(index("orders_total_ccnew1", **INVALID),))))
    assert "REINDEX CONCURRENTLY" in finding.evidence[1]
    assert "build it again" not in finding.advice


def test_an_index_is_unused_only_after_a_week_of_counting() -> None:
    judged = unused_index.judge(taken(unused_indexes=(index(),), database_work=(work(counted_s=86_400.0),)))
    assert [type(one) for one in judged] == [NotVisible]
    finding = only(unused_index.judge(taken(unused_indexes=(index(),), database_work=(work(),))))
    assert finding.action is not None
    assert finding.action.rollback.startswith("CREATE INDEX CONCURRENTLY orders_total ON public.orders (total)")


@pytest.mark.parametrize(("standbys", "in_recovery"), [(2, False), (0, True)])
def test_what_another_server_may_use_is_not_dropped(standbys: int, in_recovery: bool) -> None:
    readings = taken(unused_indexes=(index(),), database_work=(work(standbys=standbys),), in_recovery=in_recovery)
    judged = unused_index.judge(readings)
    assert only(judged).action is None
    assert "every other server" in only(judged).advice
    assert any(isinstance(one, NotVisible) for one in judged) == bool(standbys)


def test_a_repeated_index_names_the_one_that_stays() -> None:
    kept = {"kept": "orders_total_created", "kept_definition": "CREATE INDEX …", "equal": False}
    finding = only(duplicate_index.judge(taken(duplicate_indexes=(index(**kept),))))
    assert "orders_total_created" in finding.title
    assert finding.action is not None
    equal = only(duplicate_index.judge(taken(duplicate_indexes=(index(**kept | {"equal": True}),))))
    assert "the same keys" in equal.title


def bloated(**changes: Any) -> dict[str, Any]:
    return index() | {"rows": 100_000.0, "table_rows": 100_000.0, "key_bytes": 8} | changes


def test_an_index_is_bloated_by_its_entries_and_said_to_be_only_estimated() -> None:
    finding = only(index_bloat.judge(taken(large_indexes=(bloated(),))))
    assert "estimated" in finding.evidence[0]
    assert finding.action is not None
    assert finding.action.command == "REINDEX INDEX CONCURRENTLY public.orders_total"


def test_a_measured_density_goes_before_the_estimate() -> None:
    full = ({"index_id": 5, "leaf_density": 88.0, "bytes": 20_000_000},)
    assert index_bloat.judge(taken(large_indexes=(bloated(),), index_density=full)) == ()
    thin = ({"index_id": 5, "leaf_density": 22.0, "bytes": 20_000_000},)
    assert "measured" in only(index_bloat.judge(taken(large_indexes=(bloated(),), index_density=thin))).evidence[0]


@pytest.mark.parametrize("changes", [{"rows": 1_500_000.0}, {"bytes": 5_000_000}, {"rows": -1.0}])
def test_a_large_small_or_never_counted_index_is_not_bloated(changes: dict[str, Any]) -> None:
    assert index_bloat.judge(taken(large_indexes=(bloated(**changes),))) == ()


def test_hidden_statistics_are_not_visible_and_not_bloat() -> None:
    (hidden,) = index_bloat.judge(taken(large_indexes=(bloated(key_bytes=None),)))
    assert isinstance(hidden, NotVisible)


@pytest.mark.parametrize(("version", "proposed"), [(140_003, False), (140_004, True), (120_000, True)])
def test_no_rebuild_is_proposed_where_it_would_corrupt_the_index(version: int, proposed: bool) -> None:
    finding = only(index_bloat.judge(taken(large_indexes=(bloated(),), version=version)))
    assert (finding.action is not None) is proposed


def hot(**now: Any) -> dict[str, Any]:
    earlier = {"updated": 10_000, "hot_updated": 9_500}
    return {
        "tables": (table(**earlier | {"updated": 10_500, "hot_updated": 9_510} | now),),
        "before": {"tables": (table(**earlier),), "statements": (statement(),)},
        "statements": (statement(calls=500, total_exec_ms=100.0, rows=500),),
    }


SEEN = index("orders_seen", columns=["seen_at"], depends_on=["seen_at"], keeps=False, idx_scan=0)
TOUCH = text("UPDATE orders SET seen_at = now() WHERE id = $1")


def test_the_youngest_index_on_a_written_column_is_to_blame_for_lost_hot_updates() -> None:
    older = SEEN | {"index_id": 3, "name": "older"}
    other = SEEN | {"index_id": 9, "name": "other", "depends_on": ["total"]}
    readings = taken(**hot(), table_indexes=(older, SEEN, other), statement_texts=(TOUCH,))
    finding = only(hot_update_loss.judge(readings))
    assert finding.action is not None
    assert finding.action.command == "DROP INDEX CONCURRENTLY public.orders_seen"
    assert "2% of 500 updates" in finding.evidence[0]


@pytest.mark.parametrize(
    ("now", "written", "changes", "version"),
    [
        ({"hot_updated": 9_980}, TOUCH, {}, 150_018),
        ({"updated": 10_050, "hot_updated": 9_500}, TOUCH, {}, 150_018),
        ({}, text("UPDATE orders SET total = 1 WHERE id = $1"), {}, 150_018),
        ({}, text("UPDATE carts SET seen_at = now()"), {}, 150_018),
        ({}, TOUCH, {"method": "brin"}, 160_000),
    ],
    ids=["still hot", "too few", "another column", "another table", "brin does not count from 16 on"],
)
def test_no_index_is_blamed_without_reason(
    now: dict[str, Any], written: dict[str, Any], changes: dict[str, Any], version: int
) -> None:
    readings = taken(**hot(**now), table_indexes=(SEEN | changes,), statement_texts=(written,), version=version)
    assert hot_update_loss.judge(readings) == ()


def test_an_index_that_keeps_something_true_is_not_proposed_to_go() -> None:
    readings = taken(**hot(), table_indexes=(SEEN | {"keeps": True},), statement_texts=(TOUCH,))
    assert only(hot_update_loss.judge(readings)).action is None


def written(**changes: Any) -> dict[str, Any]:
    return {
        "tables": (table(indexes=9, inserted=5_000, **changes),),
        "before": {"tables": (table(),)},
        "unused_indexes": (index(),),
    }


def test_a_hot_table_with_many_indexes_loses_an_unused_one() -> None:
    finding = only(too_many_indexes.judge(taken(**written(), database_work=(work(),))))
    assert finding.action is not None
    assert "5000 times a second through 9 indexes" in finding.title


@pytest.mark.parametrize("changes", [{"counted_s": 60.0}, {"standbys": 1}])
def test_while_it_is_not_sure_that_an_index_is_unused_it_stays(changes: dict[str, float]) -> None:
    finding = only(too_many_indexes.judge(taken(**written(), database_work=(work(**changes),))))
    assert finding.action is None
    assert "Once that is sure" in finding.advice


@pytest.mark.parametrize(
    "changes", [{"indexes": 7}, {"inserted": 500}, {"inserted": 0, "updated": 5000, "hot_updated": 4900}]
)
def test_few_indexes_few_writes_or_heap_only_ones_are_no_such_incident(changes: dict[str, int]) -> None:
    rows = (table(**{"indexes": 9, "inserted": 5_000} | changes),)
    readings = taken(tables=rows, before={"tables": (table(),)}, unused_indexes=(), database_work=(work(),))
    assert too_many_indexes.judge(readings) == ()


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        (invalid_index.judge, "invalid_indexes"),
        (unused_index.judge, "unused_indexes"),
        (duplicate_index.judge, "duplicate_indexes"),
        (index_bloat.judge, "large_indexes"),
        (hot_update_loss.judge, "tables"),
        (too_many_indexes.judge, "tables"),
    ],
)
def test_what_is_hidden_is_handed_on(judge: Any, name: str) -> None:
    assert judge(taken().with_rows(name, HIDDEN)) == (HIDDEN,)


def test_names_that_no_command_could_hold_are_left_to_a_person() -> None:
    row = index("x\nDROP TABLE", **INVALID)
    finding = only(invalid_index.judge(taken(invalid_indexes=(row,))))
    assert finding.action is None
    assert "\n" not in finding.title


def test_a_statements_text_alone_is_not_enough_to_say_what_it_writes() -> None:
    readings = taken(**a_second_of("UPDATE"), tables=(table(),))
    assert hot_update_loss.judge(readings.with_rows("tables", ())) != ()
