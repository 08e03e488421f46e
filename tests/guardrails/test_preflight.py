"""What the state of a target says against an action: every waiter named, with what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from guardrails.action import Action, CreateIndexConcurrently, UnknownAction, render
from guardrails.completed import completed
from guardrails.facts import Facts, IndexFacts, RunningOperation, SessionFacts, TableFacts, TransactionFacts
from guardrails.index_action import CreatePartitionedIndex, DropIndexConcurrently, ReindexIndexConcurrently
from guardrails.policy import Policy
from guardrails.preflight import preflight
from guardrails.server_action import (
    AlterSystemReload,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.table_action import AddConstraintNotValid, AnalyzeTable, SetStatisticsTarget, ValidateConstraint
from tests.guardrails.actions import STARTED
from tests.guardrails.examples import ORDERS, facts

QUERY = "a" * 64
SESSION = SessionFacts(4711, datetime.fromisoformat(STARTED), "app", query_sha256=QUERY)
INDEX = IndexFacts(
    "public",
    "by_customer",
    "orders",
    ("customer_id",),
    definition="CREATE INDEX by_customer ON public.orders USING btree (customer_id)",
    bytes=10**9,
)


def rules(action: Action, seen: Facts, level: str = "refuse") -> list[str]:
    found = preflight(action, render(action, "P-1"), seen, Policy())
    return [finding.rule for finding in found if finding.level == level]


def said(action: Action, seen: Facts, rule: str) -> str:
    found = preflight(action, render(action, "P-1"), seen, Policy())
    return next(f"{finding.why} | {finding.fix}" for finding in found if finding.rule == rule)


def test_nothing_is_said_against_a_quiet_target() -> None:
    assert rules(ORDERS, facts()) == []
    assert rules(ORDERS, facts(), "warn") == []


def test_everybody_waited_for_is_named_with_age_and_what_to_do() -> None:
    writes = (("public", "orders"),)
    idle = TransactionFacts(1, 300.0, "idle in transaction", holds_snapshot=False, writes=writes, application="cron")
    active = TransactionFacts(2, 90.0, "active", holds_snapshot=True, application="report")
    prepared = TransactionFacts(0, 900.0, "prepared", holds_snapshot=False, writes=writes, application="half way")
    young = TransactionFacts(3, 1.0, "active", holds_snapshot=True)
    elsewhere = TransactionFacts(4, 900.0, "idle in transaction", holds_snapshot=False, writes=(("public", "other"),))
    seen = facts(transactions=(idle, active, prepared, young, elsewhere))
    found = preflight(ORDERS, render(ORDERS, "P-1"), seen, Policy())
    words = [f"{finding.why} | {finding.fix}" for finding in found if finding.rule == "long_transaction"]
    assert len(words) == 3
    assert "process 1 (cron, idle in transaction) has been in a transaction for 300 s" in words[0]
    assert "have cron commit, or end the session 1" in words[0]
    assert "process 2 (report, active)" in words[1]
    assert "holds a snapshot" in words[1]
    assert "cancel the statement of 2" in words[1]
    assert "the prepared transaction 'half way' is 900 s old" in words[2]
    assert "ROLLBACK PREPARED 'half way'" in words[2]


def test_an_old_snapshot_does_not_keep_an_analyze_waiting() -> None:
    seen = facts(transactions=(TransactionFacts(2, 900.0, "active", holds_snapshot=True),))
    assert rules(AnalyzeTable("public", "orders"), seen, "warn") == []


def test_a_reader_keeps_an_access_exclusive_lock_waiting() -> None:
    reader = TransactionFacts(2, 900.0, "active", holds_snapshot=True, touches=(("public", "orders"),))
    constraint = AddConstraintNotValid("public", "orders", ("customer_id",))
    assert rules(constraint, facts(transactions=(reader,)), "warn") == ["long_transaction"]
    assert rules(constraint, facts(transactions=(replace(reader, touches=()),)), "warn") == []


def test_a_build_on_the_table_stops_every_fix_of_it_and_a_vacuum_only_delays_it() -> None:
    build = RunningOperation(7, "CREATE INDEX CONCURRENTLY", "public", "orders")
    assert rules(ORDERS, facts(running=(build,))) == ["table_busy"]
    assert "analyze_table waits for it" in said(AnalyzeTable("public", "orders"), facts(running=(build,)), "table_busy")
    assert rules(ORDERS, facts(running=(replace(build, what="VACUUM"),)), "warn") == ["table_busy"]
    assert rules(ORDERS, facts(running=(replace(build, table="other"),))) == []


@pytest.mark.parametrize(("version", "refused"), [(140003, True), (140004, False), (130000, False), (110000, True)])
def test_the_versions_that_build_corrupt_indexes_are_kept_out(version: int, *, refused: bool) -> None:
    assert bool(rules(ORDERS, facts(server_version_num=version))) is refused


def test_a_build_needs_three_times_its_size_and_leaves_some_of_the_disk() -> None:
    assert rules(ORDERS, facts(free_disk_bytes=10**6)) == ["disk_space"]
    assert rules(ORDERS, facts(free_disk_bytes=10**9, disk_bytes=10**10), "warn") == ["disk_space"]
    assert rules(ORDERS, facts(free_disk_bytes=None), "note") == ["disk_space"]
    reindex = ReindexIndexConcurrently("public", "orders", "by_customer")
    assert rules(reindex, facts(indexes=(INDEX,), free_disk_bytes=10**9)) == ["disk_space"]
    assert rules(reindex, facts(indexes=(INDEX,), free_disk_bytes=3 * 10**9)) == []


def test_a_standby_that_lags_is_a_warning() -> None:
    assert rules(ORDERS, facts(replication_lag_s=31.0), "warn") == ["replication_lag"]


def test_an_index_that_could_not_be_brought_back_as_it_was_is_not_dropped() -> None:
    drop = DropIndexConcurrently("public", "orders", "by_customer", ("customer_id",))
    assert rules(drop, facts(indexes=(INDEX,))) == []
    for changed in (
        replace(INDEX, definition=f"{INDEX.definition} INCLUDE (id)"),
        replace(INDEX, definition=str(INDEX.definition).replace("customer_id)", "customer_id DESC)")),
        replace(INDEX, columns=("id",)),
        replace(INDEX, partial=True),
    ):
        assert rules(drop, facts(indexes=(changed,))) == ["index_differs"]
    assert rules(drop, facts(indexes=(replace(INDEX, unique=True),))) == ["unique_index"]


@pytest.mark.parametrize(
    ("session", "rule"),
    [
        (SESSION, None),
        (replace(SESSION, superuser=True), "protected_session"),
        (replace(SESSION, ours=True), "protected_session"),
        (replace(SESSION, kind="walsender"), "protected_session"),
        (replace(SESSION, kind="autovacuum worker"), "protected_session"),
        (replace(SESSION, query_sha256="b" * 64), "other_statement"),
        (replace(SESSION, pid=1), "unknown_session"),
    ],
)
def test_only_the_session_that_was_meant_is_ended(session: SessionFacts, rule: str | None) -> None:
    action = TerminateBackend(4711, STARTED, QUERY)
    assert rules(action, facts(sessions=(session,))) == ([rule] if rule else [])


def test_what_is_not_there_is_not_acted_on() -> None:
    for action in (
        RollbackPrepared("x"),
        DropReplicationSlot("x"),
        SetRoleSetting("x", "work_mem", "1MB"),
        ValidateConstraint("public", "orders", "x"),
    ):
        assert rules(action, facts(there=False)) == ["unknown_name"]
        assert rules(action, facts(there=True)) == []
    assert rules(DropReplicationSlot("x"), facts(there=True, in_use=True)) == ["slot_in_use"]


def test_a_partitioned_index_names_every_partition() -> None:
    table = TableFacts("public", "parts", ("id",), "p", partitions=(("public", "a", "r"), ("public", "b", "r")))
    action = CreatePartitionedIndex("public", "parts", ("id",), ("a", "b"))
    assert rules(action, facts(catalog=(table,))) == []
    assert rules(replace(action, partitions=("a",)), facts(catalog=(table,))) == ["partitions_differ"]
    nested = replace(table, partitions=(("public", "a", "r"), ("public", "b", "p")))
    assert rules(action, facts(catalog=(nested,))) == ["nested_partitions"]
    scattered = replace(table, partitions=(("public", "a", "r"), ("other", "b", "r")))
    assert "partitions_differ" in rules(action, facts(catalog=(scattered,)))


def test_what_only_the_target_knows_is_filled_in() -> None:
    target = SetStatisticsTarget("public", "orders", "id", 500)
    assert completed(target, facts(current="200")) == replace(target, previous=200)
    assert completed(replace(target, previous=7), facts(current="200")) == replace(target, previous=7)
    assert completed(target, facts(current=None)) == target
    setting = AlterSystemReload("max_wal_size", "8GB")
    assert completed(setting, facts(current="1GB")) == replace(setting, previous="1GB")
    ending = TerminateBackend(4711, STARTED)
    assert completed(ending, facts(sessions=(SESSION,))) == replace(ending, query_sha256=QUERY)
    assert completed(ending, facts()) == ending
    index = CreateIndexConcurrently("public", "orders", ("id",))
    assert completed(index, facts(current="x")) == index


def test_a_present_value_that_could_not_be_set_again_is_no_way_back() -> None:
    with pytest.raises(UnknownAction):
        completed(SetRoleSetting("app", "work_mem", "8MB"), facts(current="a lot; really"))


def test_a_rollback_to_another_value_than_there_is_now_is_refused() -> None:
    setting = AlterSystemReload("max_wal_size", "8GB", "2GB")
    assert rules(setting, facts(current="1GB")) == ["previous_differs"]
    assert rules(setting, facts(current="2GB")) == []
    assert rules(setting, facts(current=None)) == []
