from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.database.snapshot import ColumnFacts, IndexFacts, NotVisible, TableFacts
from agent.incident import Answered, Conclusion, Working
from agent.memory.siblings import TOLD, Pattern, Sibling, Swept, look, pattern
from connectors import runbooks
from connectors.target.memory import MemoryTarget
from tests.agent.database.examples import ORDERS, orders_with
from tests.agent.examples import SKILL

INDEX = Pattern("invalid_index_left", "public", "orders", ("customer_id",))
SEEDS = runbooks.skills()


def table(name: str, *indexed: str, **changes: Any) -> TableFacts:
    indexes = tuple(
        IndexFacts(f"{name}_{column}", (column,), "…", "btree", True, True, False, False, 1) for column in indexed
    )
    return replace(ORDERS, table=name, indexes=(*ORDERS.indexes, *indexes), **changes)


def counted(name: str, *, scans: int = 12, read: int = 12 * 300_000, rows: int = 300_000) -> dict[str, Any]:
    return {"relid": hash(name) % 10_000, "schema": "public", "table": name, "seq_scan": scans, "seq_tup_read": read,
            "live_rows": rows}  # fmt: skip


def target(*tables: TableFacts, rows: list[dict[str, Any]], keys: list[dict[str, Any]] | None = None) -> MemoryTarget:
    return MemoryTarget(
        tables={(one.schema, one.table): one for one in tables},
        taken={"tables": tuple(rows), "foreign_keys_without_index": tuple(keys or ())},
    )


def found(here: MemoryTarget, wanted: Pattern = INDEX) -> list[str]:
    return [one.what for one in look(here, "shop", wanted) if one.status == "yes"]


def test_another_table_that_is_read_in_full_by_the_same_column_is_a_sibling() -> None:
    here = target(table("payments"), orders_with("customer_id"), rows=[counted("payments"), counted("orders")])
    assert found(here) == ["public.payments (customer_id)"]


def test_a_table_with_the_index_or_without_the_column_or_that_is_not_scanned_is_none() -> None:
    without_it = tuple(column for column in ORDERS.columns if column.name != "customer_id")
    here = target(
        table("indexed", "customer_id"), table("other", columns=without_it), table("quiet"), table("small"),
        table("limited"),
        rows=[counted("indexed"), counted("other"), counted("quiet", scans=0, read=0), counted("small", rows=50),
              counted("limited", read=24)],
    )  # fmt: skip
    assert found(here) == []


def test_an_index_that_is_invalid_or_partial_does_not_serve() -> None:
    broken = replace(table("payments"), indexes=(replace(orders_with("customer_id").indexes[1], valid=False),))
    assert found(target(broken, rows=[counted("payments")])) == ["public.payments (customer_id)"]


def test_a_foreign_key_without_an_index_on_a_table_that_is_scanned_is_a_sibling() -> None:
    lines = table("lines", "customer_id", columns=(*ORDERS.columns, ColumnFacts("order_id", "bigint", None, None, 8)))
    keys = [{"relid": 1, "name": "fk", "schema": "public", "table": "lines", "columns": ["order_id"]}]
    assert found(target(lines, rows=[counted("lines")], keys=keys)) == ["public.lines (order_id)"]


def test_a_fix_that_was_no_index_asks_its_check_alone() -> None:
    here = target(table("payments"), rows=[counted("payments")])
    assert [one.what for one in look(here, "shop", Pattern("lock_waits"))] == ["lock_waits"]


def test_hidden_counters_are_said_and_not_taken_for_none() -> None:
    here = MemoryTarget(taken={"tables": NotVisible("the tables", "no right")})
    assert [(one.what, one.status) for one in look(here, "shop", INDEX)][-1] == ("tables", "not_visible")


def test_no_more_is_told_than_a_person_would_read() -> None:
    names = [f"t{number:02}" for number in range(40)]
    here = target(*(table(name) for name in names), rows=[counted(name) for name in names])
    assert len(found(here)) == TOLD


def test_hostile_names_stay_on_one_line() -> None:
    name = "pay\n# ments\u202e" + "x" * 300
    (sibling,) = [one for one in look(target(table(name), rows=[counted(name)]), "shop", INDEX) if one.status == "yes"]
    assert "\n" not in sibling.summary
    assert "\u202e" not in sibling.what
    assert len(sibling.summary) <= 200


# --- What is looked for ------------------------------------------------------------------------------------------


def concluded(answered: dict[str, Answered], cause: str) -> Working:
    return Working(answered=answered, conclusion=Conclusion(cause, cause, 0.9, 0.8, 0.95, "target"))


def test_the_check_that_speaks_most_for_the_cause_is_asked_again() -> None:
    skill = SEEDS["postgres-missing-index"]
    yes = {name: Answered("yes", "", 1) for name, check in skill.checks.items() if check.tool == "database"}
    wanted = pattern(skill, concluded(yes, "missing_index"), "create_index_concurrently",
                     {"schema": "public", "table": "orders", "columns": ["customer_id"]})  # fmt: skip
    assert wanted is not None
    check = next(one for one in skill.checks.values() if one.query == wanted.check)
    assert check.yes_given["missing_index"] == max(check.yes_given.values())
    assert wanted.columns == ("customer_id",)


def test_without_a_database_check_that_said_yes_there_is_nothing_to_look_for() -> None:
    skill = SEEDS["postgres-missing-index"]
    no = {name: Answered("no", "", 1) for name in skill.checks}
    assert pattern(skill, concluded(no, "missing_index"), "analyze_table", {}) is None
    assert pattern(skill, Working(), "analyze_table", {}) is None
    causal_alone = {"ranking": Answered("yes", "", 1)}
    assert pattern(SKILL, concluded(causal_alone, "missing_index"), "analyze_table", {}) is None


# --- A whole sweep -----------------------------------------------------------------------------------------------


def test_a_sweep_says_what_it_found_what_it_could_not_see_and_that_it_found_nothing() -> None:
    yes, no = Sibling("shop", "public.payments (customer_id)", "yes", "…"), Sibling("shop", "lock_waits", "no", "…")
    hidden = Sibling("other", "lock_waits", "not_visible", "refused")
    cases = {
        "yes": Swept(INDEX, (yes, no, hidden), ("third",), 1.0),
        "no": Swept(INDEX, (no, hidden), (), 1.0),
        "not_visible": Swept(INDEX, (hidden,), (), 1.0),
    }
    assert {status: one.status for status, one in cases.items()} == {status: status for status in cases}
    assert "payments" in cases["yes"].summary
    assert "2 could not be looked at" in cases["yes"].summary
    assert "nowhere else" in cases["no"].summary
    assert all(len(one.summary) <= 200 for one in cases.values())
    assert Swept.from_data(cases["yes"].as_data()) == cases["yes"]
