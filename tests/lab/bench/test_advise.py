from __future__ import annotations

from agent.database.advisor.conditions import demands
from agent.database.advisor.statement import read, tables
from guardrails.sql.check import check
from lab.bench.advise import Advised, Case, Measured, read_cases, sums


def test_there_are_enough_statements_of_every_set() -> None:
    cases = read_cases()
    by_set = {name: [case for case in cases if case.set == name] for name in ("own", "negative", "tpch")}
    assert len(by_set["own"]) >= 25
    assert all(case.known for case in by_set["own"])
    assert len(by_set["negative"]) >= 6
    assert not any(case.known for case in by_set["negative"])
    assert len(by_set["tpch"]) == 22


def test_every_statement_is_read_with_its_tables() -> None:
    for case in read_cases():
        statement = read(case.sql)
        assert tables(statement.tree), case.id
        assert demands(statement, {}).occurrences == []


def test_what_is_known_to_help_is_an_index_that_can_be_built_without_blocking() -> None:
    for case in read_cases():
        for body in case.known:
            report = check(f"SET lock_timeout = '2s'; CREATE INDEX CONCURRENTLY x ON {body}")
            assert {lock.mode for lock in report.locks} == {"ShareUpdateExclusiveLock"}, body


def measured(id_: str, advisor: str, after_ms: float, *indexes: str, seconds: float | None = None) -> Measured:
    return Measured(Case(id_, "SELECT 1", ()), advisor, Advised(indexes, seconds), 100.0, after_ms, 2**20, 0)


def test_the_sums_are_of_one_set_and_advisor_each() -> None:
    found = [
        measured("q1", "known", 1.0, "a"),
        measured("q2", "known", 10.0, "b"),
        measured("q1", "stanch", 1.5, "a", seconds=0.1),
        measured("q2", "stanch", 100.0, seconds=0.3),
        measured("t1", "stanch", 50.0, "c", "d", seconds=0.2),
    ]
    rows = {(row["set"], row["advisor"]): row for row in sums(found) if row["statements"]}
    assert rows["own", "known"]["geometric_mean_speed_up"] == 31.62
    ours = rows["own", "stanch"]
    assert (ours["at_least_10x"], ours["within_2x_of_known"], ours["indexes"], ours["megabytes"]) == (1, 1, 1, 2.0)
    assert (ours["advise_mean_s"], ours["advise_max_s"]) == (0.2, 0.3)
    assert rows["tpch", "stanch"]["indexes"] == 2
