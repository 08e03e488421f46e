from __future__ import annotations

import pytest

from agent.database.advisor.definition import Definition, Key, column_key
from guardrails.sql.check import check
from guardrails.sql.identifier import UnusableName

EMAIL = Key("lower(email)", None)


@pytest.mark.parametrize(
    "definition",
    [
        Definition("public", "orders", (column_key("customer_id"),)),
        Definition("public", "orders", (column_key("a"), column_key("b")), include=("c",)),
        Definition("Odd S", 'o"rders', (column_key('x"; DROP TABLE t; --'),)),
        Definition("public", "orders", (EMAIL,), where="status = 'open'", where_key=column_key("status")),
        Definition("public", "orders", (Key("data", "data", "jsonb_path_ops"),), "gin"),
        Definition("public", "orders", (Key("email", "email", "text_pattern_ops"),)),
    ],
)
def test_what_is_advised_passes_our_own_judge(definition: Definition) -> None:
    (statement,) = definition.statements()
    report = check(f"SET lock_timeout = '2s'; {statement}")
    assert [finding.rule for finding in report.findings if finding.level == "refuse"] == []
    assert {lock.mode for lock in report.locks} == {"ShareUpdateExclusiveLock"}


def test_the_text_is_what_postgresql_reads_back() -> None:
    keys = (column_key("a"), Key("b", "b", descending=True), Key("c", "c", nulls_first=True), EMAIL)
    made = Definition("public", "t", keys, include=("d",), where="x IS NULL", where_key=column_key("x"))
    assert made.hypothetical() == (
        "CREATE INDEX ON public.t (a, b DESC, c NULLS FIRST, (lower(email))) INCLUDE (d) WHERE x IS NULL"
    )
    assert made.columns == ("a", "b", "c", "lower(email)")


def test_the_same_advice_has_the_same_name_and_another_has_another() -> None:
    one = Definition("public", "orders", (column_key("a"),), include=("b",))
    (first,), (again,) = one.statements(), one.statements()
    (other,) = Definition("public", "orders", (column_key("a"),), include=("c",)).statements()
    assert first == again
    assert first.split()[3] != other.split()[3]


@pytest.mark.parametrize("include", [(), ("b",)])
def test_a_partitioned_table_gets_its_index_leaf_by_leaf(include: tuple[str, ...]) -> None:
    made = Definition("public", "orders", (column_key("a"),), include=include)
    steps = made.statements((("public", "orders_1"), ("public", "orders_2")))
    assert [step.split(" ON ")[0].split()[:3] for step in steps[::2]] == [
        ["CREATE", "INDEX", steps[0].split()[2]],
        ["ALTER", "INDEX", steps[2].split()[2]],
        ["ALTER", "INDEX", steps[4].split()[2]],
    ]
    assert "ON ONLY public.orders" in steps[0]
    assert sum("CONCURRENTLY" in step for step in steps) == 2


def test_a_partial_index_is_judged_by_the_complete_one() -> None:
    status = column_key("status")
    complete = Definition("public", "orders", (status, column_key("created_at")))
    part = complete.part(status, "status = 'open'")
    assert part.body() == " (created_at) WHERE status = 'open'"
    assert part.complete() == complete


def test_a_name_postgresql_would_cut_is_refused() -> None:
    with pytest.raises(UnusableName):
        Definition("public", "orders", (column_key("ü" * 40),)).statements()
