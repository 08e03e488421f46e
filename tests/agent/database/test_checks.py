from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.database.checks import CHECKS, Observation
from agent.database.readings import Readings
from agent.database.snapshot import (
    Activity,
    InvalidIndex,
    NotVisible,
    Plan,
    Session,
    TableFacts,
    TargetIdentity,
    WhatIf,
    Workload,
)
from tests.agent.database.examples import ORDERS, QUERY, SCAN, SCANNED, SLOW, orders_with, plan, sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.database.limits import Limits
    from agent.database.readings import Rows
    from agent.database.snapshot import Comparison

IDENTITY = TargetIdentity("shop", "1", "shop", 150018, in_recovery=False)
HIDDEN = NotVisible("statements of other roles", "the role is no member of pg_read_all_stats")


class Shop:
    """A reader that answers what a test gave it, and counts the samples taken."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.samples = 0

    def identity(self) -> TargetIdentity:
        return IDENTITY

    def workload(self, window_s: float) -> Workload:
        self.samples += 1
        found: Workload = self.answers.get("workload", sample())
        return replace(found, window_s=window_s)

    def activity(self) -> Activity:
        found: Activity = self.answers.get("activity", activity())
        return found

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible:
        assert (schema, table) == ("public", "orders")
        found: TableFacts | NotVisible = self.answers.get("table", ORDERS)
        return found

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        assert (query, user) == (self.answers.get("query", QUERY), "shop_app")
        found: Plan | NotVisible = self.answers.get("plan", SCAN)
        return found

    def what_if(
        self, query: str, schema: str, table: str, columns: Any, user: str | None = None
    ) -> WhatIf | NotVisible:
        assert (query, schema, table, user) == (QUERY, "public", "orders", "shop_app")
        found: dict[tuple[str, ...], WhatIf] = self.answers.get("what_ifs", {})
        return found.get(tuple(columns)) or NotVisible("the plan with the index", "no hypopg")

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible:
        found: tuple[InvalidIndex, ...] | NotVisible = self.answers.get("invalid", ())
        return found

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        taken = {name: self.answers.get("readings", {}).get(name, ()) for name in names}
        return Readings(150018, "shop", in_recovery=False, window_s=window_s, now=taken, before=taken, limits=limits)

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        return NotVisible(name, f"not asked for {sorted(params)} here")

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        return NotVisible("the text", f"not of {user}: {query}")

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        return NotVisible("the plan", f"not with {len(values)} values for {user}: {query}")

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        return NotVisible("the comparison", f"not of {query} and {rewritten}")


def check(name: str, **answers: Any) -> Observation:
    seen = CHECKS[name].run(Shop(**answers), {})
    json.dumps(seen.as_data(), allow_nan=False)
    assert 0 < len(seen.summary) <= 200
    assert "\n" not in seen.summary
    return seen


def session(
    pid: int, *, blocked_by: tuple[int, ...] = (), xact_age_s: float | None = 0.0, waiting_s: float | None = 0.0
) -> Session:
    state = "active" if blocked_by else "idle in transaction"
    return Session(pid, "app", "web", state, None, None, xact_age_s, 1.0, 5, "", "x", blocked_by, waiting_s, True)


def activity(*sessions: Session, total: int = 10, hidden: bool = False) -> Activity:
    return Activity({"active": total}, {"web": total}, sessions, total, 97, (HIDDEN,) if hidden else ())


def test_the_sample_is_taken_once_and_passed_on() -> None:
    shop = Shop()
    known: dict[str, Any] = {}
    for name in CHECKS:
        if name not in {"lock_waits", "connections_exhausted", "long_transaction"}:
            known[name] = json.loads(json.dumps(CHECKS[name].run(shop, known).as_data()))["data"]
    assert shop.samples == 1
    assert known["index_would_help"]["columns"] == ["customer_id", "created_at"]


def test_a_missing_index_is_seen_by_every_check_on_its_way() -> None:
    for name in ("sequential_scans_dominate", "slow_statement", "plan_scans_a_big_table", "index_would_help"):
        assert check(name).status == "yes", name


def test_a_scan_that_a_limit_ends_early_is_no_reading_of_the_whole_table() -> None:
    early = sample(tables=(replace(SCANNED, seq_scans=5000, seq_tup_read=500_000),))
    assert check("sequential_scans_dominate", workload=early).status == "no"


def test_a_small_table_may_be_scanned() -> None:
    small = sample(tables=(replace(SCANNED, live_rows=500, seq_scans=5, seq_tup_read=2500),))
    assert check("sequential_scans_dominate", workload=small).status == "no"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"baseline_mean_exec_ms": None}, "yes"),
        ({"baseline_mean_exec_ms": 290.0, "min_exec_ms": 280.0}, "no"),
        ({"baseline_mean_exec_ms": 150.0, "min_exec_ms": 0.1}, "yes"),
        ({"baseline_mean_exec_ms": 400.0, "min_exec_ms": 0.1}, "no"),
        ({"mean_exec_ms": 2.0, "baseline_mean_exec_ms": 0.1}, "no"),
        ({"total_exec_ms": 500.0}, "no"),
    ],
)
def test_a_statement_is_slow_when_it_carries_the_time_and_was_faster_before(
    changes: dict[str, Any], status: str
) -> None:
    assert check("slow_statement", workload=sample(statements=(replace(SLOW, **changes),))).status == status


def test_a_statement_that_outlasts_the_sample_is_seen_while_it_runs() -> None:
    long = replace(session(9), state="active", state_age_s=42.0, query=QUERY, user="shop_app")
    for statements in ((), (replace(SLOW, mean_exec_ms=1.0),)):
        seen = check("slow_statement", workload=sample(statements=statements), activity=activity(long))
        assert seen.status == "yes"
        assert seen.data["statement"]["query"] == QUERY
    waiting = replace(long, wait_event_type="Lock")
    assert check("slow_statement", workload=sample(statements=()), activity=activity(waiting)).status == "no"
    advice = check("index_would_help", workload=sample(statements=()), activity=activity(long))
    assert advice.data["columns"] == ["customer_id", "created_at"]


def test_nothing_seen_is_no_answer_where_statements_are_hidden() -> None:
    hidden = sample(statements=(), not_visible=(HIDDEN,))
    for name in ("slow_statement", "plan_scans_a_big_table", "index_would_help"):
        assert check(name, workload=hidden).status == "not_visible", name
    assert check("slow_statement", workload=sample(statements=())).status == "no"


def test_a_plan_that_may_not_be_seen_is_not_visible() -> None:
    seen = check("plan_scans_a_big_table", plan=NotVisible("the plan", "permission denied for table orders"))
    assert seen.status == "not_visible"
    assert "permission denied" in seen.summary


def test_an_index_that_is_there_already_is_not_advised_again() -> None:
    seen = check("index_would_help", table=orders_with("customer_id", "created_at"))
    assert (seen.status, seen.data) == ("no", {"existing": "orders_more"})
    invalid = check("index_would_help", table=orders_with("customer_id", "created_at", valid=False))
    assert invalid.status == "yes"


def test_without_hypopg_the_figures_are_estimates_and_say_so() -> None:
    seen = check("index_would_help")
    assert not seen.data["validated"]
    assert "not validated" in seen.summary
    assert seen.data["cost_before"] > 5 * seen.data["cost_after"] > 0


def test_a_narrower_index_that_is_nearly_as_good_is_preferred() -> None:
    wide, narrow = ("customer_id", "created_at"), ("customer_id",)
    near = {wide: WhatIf(45_000.0, 10.0, 9, True), narrow: WhatIf(45_000.0, 15.0, 6, True)}
    assert check("index_would_help", what_ifs=near).data["columns"] == ["customer_id"]
    far = near | {narrow: WhatIf(45_000.0, 400.0, 6, True)}
    assert check("index_would_help", what_ifs=far).data["columns"] == ["customer_id", "created_at"]


def test_a_gain_too_small_is_no_advice() -> None:
    little = WhatIf(45_000.0, 30_000.0, 9, True)
    seen = check("index_would_help", what_ifs={("customer_id", "created_at"): little, ("customer_id",): little})
    assert seen.status == "no"


def test_a_write_that_cannot_be_planned_is_judged_by_its_text_and_the_table_it_scans() -> None:
    query = "UPDATE orders SET status = $1 WHERE customer_id = $2"
    write = {
        "query": query,
        "workload": sample(statements=(replace(SLOW, query=query),)),
        "plan": NotVisible("the plan", "only plain reading statements are planned"),
    }
    seen = check("index_would_help", **write)
    assert (seen.status, seen.data["columns"], seen.data["cost_after"]) == ("yes", ["customer_id"], None)
    unscanned = write | {"workload": sample(statements=(replace(SLOW, query=query),), tables=())}
    assert check("index_would_help", **unscanned).status == "not_visible"


def test_a_scan_without_a_filter_is_no_sign_of_a_missing_index() -> None:
    assert check("plan_scans_a_big_table", plan=plan(None)).status == "no"


def test_the_root_of_a_queue_is_named_and_not_those_in_between() -> None:
    queue = activity(
        session(1), session(2, blocked_by=(1,), waiting_s=30.0), session(3, blocked_by=(2,), waiting_s=12.0)
    )
    seen = check("lock_waits", activity=queue)
    assert (seen.status, seen.data["root_pids"]) == ("yes", [1])
    assert "30 s" in seen.summary


def test_a_circle_of_waiters_ends() -> None:
    circle = activity(session(2, blocked_by=(3,), waiting_s=2.0), session(3, blocked_by=(2,), waiting_s=2.0))
    assert check("lock_waits", activity=circle).data["root_pids"] == []


def test_a_wait_that_has_just_begun_counts_while_an_alert_rings_and_a_shorter_one_is_normal() -> None:
    for waited_s, status in ((0.2, "yes"), (0.05, "no")):
        queue = activity(session(1), session(2, blocked_by=(1,), waiting_s=waited_s))
        assert check("lock_waits", activity=queue).status == status


def test_hidden_sessions_leave_it_open_whether_somebody_waits() -> None:
    for name in ("lock_waits", "long_transaction"):
        assert check(name, activity=activity(hidden=True)).status == "not_visible", name


def test_a_transaction_of_over_a_minute_is_long() -> None:
    assert check("long_transaction", activity=activity(session(1, xact_age_s=59.0))).status == "no"
    assert check("long_transaction", activity=activity(session(1, xact_age_s=61.0))).status == "yes"


def test_nine_tenths_of_the_connections_are_too_many() -> None:
    assert check("connections_exhausted", activity=activity(total=80)).status == "no"
    assert check("connections_exhausted", activity=activity(total=90)).status == "yes"


def test_statistics_are_stale_when_a_fifth_has_changed_or_there_are_none() -> None:
    for changes, status in (
        ({"modified_since_analyze": 300_000}, "no"),
        ({"modified_since_analyze": 500_000}, "yes"),
        ({"last_analyze": None}, "yes"),
        ({"last_analyze": None, "live_rows": 100}, "no"),
    ):
        workload = sample(tables=(replace(SCANNED, **changes),))
        assert check("stale_statistics", workload=workload).status == status, changes


def test_an_invalid_index_that_writes_pay_for_says_so() -> None:
    left = InvalidIndex("public", "orders", "st_x", ready=True, bytes=8192)
    seen = check("invalid_index_left", invalid=(left,))
    assert seen.status == "yes"
    assert "every write pays" in seen.summary
    assert check("invalid_index_left", invalid=NotVisible("builds", "hidden")).status == "not_visible"


def test_hostile_text_is_shortened_and_made_visible() -> None:
    hostile = "SELECT '\u202e\x1b[31m<script>\u200b'\n" + "x" * 100_000
    seen = check("slow_statement", workload=sample(statements=(replace(SLOW, query=hostile),)))
    assert not {"\u202e", "\x1b", "\u200b"} & set(seen.summary)
    assert "\\u202e" in seen.summary
