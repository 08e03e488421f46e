from __future__ import annotations

from pathlib import Path

from agent.database.blocking import Blocking
from agent.database.checks import CHECKS
from agent.database.classes import CLASSES
from agent.database.doctor import Report, judged
from agent.database.finding import Finding, proposed
from agent.database.readings import READINGS, Reading, between
from agent.database.snapshot import NotVisible
from connectors.target.readings import SOURCES
from connectors.target.session import QUERIES
from guardrails.server_action import SetRoleSetting
from tests.agent.database.classes.snapshots import HIDDEN, readings, session

COUNTED = Reading(keys=("id",), counters=("calls", "rows"), gauges=("lag",))


def row(calls: int, rows: int = 0, **more: object) -> dict[str, object]:
    return {"id": 1, "calls": calls, "rows": rows, **more}


def test_counters_are_differences_and_what_is_no_counter_is_as_of_the_end() -> None:
    (change,) = between(COUNTED, (row(10, 5, name="a"),), (row(25, 5, name="b"),))
    assert change == {"id": 1, "calls": 15, "rows": 0, "name": "b", "reset": False}


def test_a_counter_that_went_back_makes_all_of_its_row_a_lower_bound() -> None:
    (change,) = between(COUNTED, (row(10, 5),), (row(3, 9),))
    assert (change["calls"], change["rows"], change["reset"]) == (3, 9, True)


def test_a_reset_that_no_counter_shows_is_told_by_its_time() -> None:
    (change,) = between(COUNTED, (row(10, reset_at="a"),), (row(30, reset_at="b"),))
    assert (change["calls"], change["reset"]) == (30, True)


def test_a_new_row_counts_from_zero_and_a_gauge_of_it_has_not_changed() -> None:
    (change,) = between(COUNTED, (), (row(7, lag=100),))
    assert (change["calls"], change["lag"], change["reset"]) == (7, 0, False)


def test_a_gauge_may_fall() -> None:
    (change,) = between(COUNTED, (row(1, lag=100),), (row(1, lag=40),))
    assert (change["lag"], change["reset"]) == (-60, False)


def test_a_counter_that_is_not_shown_stays_unknown() -> None:
    (change,) = between(COUNTED, ({"id": 1, "calls": None, "rows": 1},), ({"id": 1, "calls": None, "rows": 2},))
    assert (change["calls"], change["rows"]) == (None, 1)


def test_differences_need_two_readings() -> None:
    once = readings(before={"databases": HIDDEN})
    assert once.deltas("databases") == HIDDEN
    assert isinstance(once.deltas("sessions"), NotVisible)


def test_every_reading_has_a_source_and_every_source_its_queries() -> None:
    assert set(READINGS) == set(SOURCES)
    for source in SOURCES.values():
        assert {query for _, query in source.queries} <= set(QUERIES)
        assert [since for since, _ in source.queries] == sorted((since for since, _ in source.queries), reverse=True)


def test_every_class_is_a_check_that_skills_can_name_and_hides_none_of_the_others() -> None:
    assert set(CLASSES) <= set(CHECKS)
    others = {"lock_waits", "long_transaction", "connections_exhausted", "stale_statistics", "slow_statement"}
    assert not others & set(CLASSES)


def test_every_class_has_its_row_in_the_document() -> None:
    page = (Path(__file__).parents[3] / "docs" / "database.md").read_text(encoding="utf-8")
    assert [name for name in CLASSES if f"`{name}`" not in page] == []


def test_the_most_severe_comes_first_and_what_is_hidden_is_told_once() -> None:
    idle = session(1, state="idle in transaction", state_age_s=400.0)
    queue = tuple(session(pid, blocked_by=[9], waits_for="transactionid") for pid in range(10, 20))
    busy = session(9, state="active", query_age_s=2.0)
    report = judged(readings(sessions=(idle, busy, *queue), slots=HIDDEN, disk=HIDDEN))
    assert [finding.severity for finding in report.findings] == ["critical", "warning"]
    assert report.not_visible.count(HIDDEN) == 1
    assert Report.from_data(report.as_data()) == report


def test_a_proposed_action_is_its_kind_parameters_and_exact_sql() -> None:
    action = SetRoleSetting("app", "work_mem", "64MB")
    shown = proposed(action)
    assert shown.action() == action
    assert shown.command == "ALTER ROLE app SET work_mem = '64MB'"
    assert shown.lock == ""
    assert shown.role == "admin"


def test_a_thousand_waiting_in_line_are_drawn_without_end() -> None:
    line = tuple(session(pid, blocked_by=[pid - 1] if pid > 1 else []) for pid in range(1, 1500))
    blocking = Blocking.of(line)
    assert blocking.roots() == (1,)
    assert len(blocking.behind(1)) == 1498
    assert len(blocking.tree(1).splitlines()) == 41


def test_a_blocker_that_is_not_shown_is_still_the_root() -> None:
    blocking = Blocking.of((session(2, blocked_by=[77]),))
    assert blocking.roots() == (77,)
    assert blocking.tree(77).startswith("process 77, not shown\n")


def test_findings_are_values_that_come_back_from_json() -> None:
    (finding,) = judged(readings(sessions=(session(1, state="idle in transaction", state_age_s=400.0),))).findings
    assert Finding.from_data(finding.as_data()) == finding
