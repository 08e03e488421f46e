"""Every kind of action on a real server: preflight, claim, run, read back, look again after a crash, undo, clean."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.target.fix import FixConnection
from guardrails.action import KINDS, CreateIndexConcurrently
from guardrails.index_action import CreatePartitionedIndex, DropIndexConcurrently, ReindexIndexConcurrently
from guardrails.server_action import (
    AlterSystemReload,
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.table_action import (
    AddConstraintNotValid,
    AnalyzeTable,
    CreateStatistics,
    SetStatisticsTarget,
    SetTableStorage,
    VacuumTable,
    ValidateConstraint,
)
from tests.connectors.target.approval import POLICY, approved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrails.action import Action
    from guardrails.approved import Approved
    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

ITEMS = ("kinds", "items")
_WORLD = """
CREATE SCHEMA kinds AUTHORIZATION shop_owner;
SET ROLE shop_owner;
CREATE TABLE kinds.items (id int PRIMARY KEY, kind int, colour text, maker int);
INSERT INTO kinds.items SELECT g, g % 10, 'c' || g % 10, g % 100 FROM generate_series(1, 5000) g;
CREATE INDEX by_colour ON kinds.items (colour);
CREATE INDEX by_maker ON kinds.items (maker);
ALTER TABLE kinds.items ADD CONSTRAINT small CHECK (kind < 100) NOT VALID;
CREATE TABLE kinds.makers (id int PRIMARY KEY);
INSERT INTO kinds.makers SELECT g FROM generate_series(0, 100) g;
CREATE TABLE kinds.days (day int, amount int) PARTITION BY RANGE (day);
CREATE TABLE kinds."day one" PARTITION OF kinds.days FOR VALUES FROM (0) TO (10);
CREATE TABLE kinds.day_two PARTITION OF kinds.days FOR VALUES FROM (10) TO (20);
INSERT INTO kinds.days SELECT g % 20, g FROM generate_series(1, 2000) g;
RESET ROLE;
"""
_FIXED: tuple[Action, ...] = (
    CreateIndexConcurrently(*ITEMS, ("kind", "maker")),
    CreatePartitionedIndex("kinds", "days", ("amount",), ("day one", "day_two")),
    DropIndexConcurrently(*ITEMS, "by_maker", ("maker",)),
    ReindexIndexConcurrently(*ITEMS, "by_colour"),
    AnalyzeTable(*ITEMS),
    AnalyzeTable("kinds", "days"),
    VacuumTable(*ITEMS, freeze=True),
    VacuumTable("kinds", "days", analyze=False),
    SetStatisticsTarget(*ITEMS, "colour", 300),
    CreateStatistics(*ITEMS, ("kind", "colour")),
    SetTableStorage(*ITEMS, "autovacuum_vacuum_scale_factor", "0.02"),
    AddConstraintNotValid(*ITEMS, ("colour",)),
    AddConstraintNotValid(*ITEMS, ("maker",), "kinds", "makers", ("id",)),
    ValidateConstraint(*ITEMS, "small"),
)
_SET: tuple[Action, ...] = (
    SetRoleSetting("shop_app", "work_mem", "8MB"),
    SetRoleSetting("shop_app", "connection_limit", "50"),
    AlterSystemReload("max_wal_size", "2048MB"),
    AlterSystemReload("checkpoint_timeout", "6min"),
)


def name(action: Action) -> str:
    return f"{action.kind} {action.table}".strip()


@pytest.fixture(scope="module")
def world(shop: Shop) -> Iterator[Shop]:
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        admin.execute(_WORLD)
    yield shop
    with psycopg.connect(shop.admin, autocommit=True) as admin:
        admin.execute("DROP SCHEMA kinds CASCADE")
        admin.execute("TRUNCATE stanch_guard.claim")


@contextmanager
def writer(shop: Shop, action: Action, read_back_s: float = 5.0) -> Iterator[FixConnection]:
    dsn = {"fix": shop.fix, "signal": shop.signal, "admin": shop.server}[action.connection]
    with FixConnection(
        dsn, "shop", role=action.connection, policy=POLICY, environment="staging", read_back_s=read_back_s
    ) as connection:
        connection.identity()
        yield connection


def approve(fix: FixConnection, action: Action, proposal: str | None = None) -> Approved[Action]:
    return approved(action, fix.identity(), proposal or hashlib.sha256(repr(action).encode()).hexdigest()[:12])


def refusals(fix: FixConnection, approval: Approved[Action]) -> str:
    return "; ".join(fix.preflight(approval).refusals)


def lives(shop: Shop, action: Action) -> None:
    """The whole life of one action that can be undone or needs not be."""
    with writer(shop, action) as fix:
        approval = approve(fix, action)
        assert refusals(fix, approval) == ""
        assert fix.inspect(approval, "X-1").kind == "absent"
        assert fix.claim(approval.approval_id, "run", 0, "run", "X-1")
        result = fix.run(approval, "X-1", lambda _: None)
        assert result.status == "finished", result
        assert fix.clean(approval, "X-1").status == "failed"
        # As another process finds it after a crash.
        with writer(shop, action) as other:
            seen = other.inspect(approval, "X-1")
        assert seen.kind == "valid", seen
        fix.claim(approval.approval_id, "rollback", 0, "run", "X-2")
        undone = fix.roll_back(approval, "X-2")
        if approval.rendered.rollback_steps:
            assert undone.status == "finished", undone
            assert fix.inspect(approval, "X-2").kind == "absent"
        else:
            assert (undone.status, undone.detail) == ("failed", f"{action.kind} cannot be undone")


@pytest.mark.parametrize("action", _FIXED, ids=name)
def test_a_fix_of_a_table_lives_its_whole_life(world: Shop, action: Action) -> None:
    lives(world, action)


@pytest.mark.parametrize("action", _SET, ids=lambda action: f"{action.kind} {action.setting}")
def test_a_setting_lives_its_whole_life(world: Shop, action: Action) -> None:
    lives(world, action)


def test_a_prepared_transaction_is_rolled_back_as_its_owner(world: Shop) -> None:
    with psycopg.connect(world.app, autocommit=True) as app:
        app.execute("BEGIN; INSERT INTO kinds.items VALUES (-1); PREPARE TRANSACTION 'forgotten'")
    lives(world, RollbackPrepared("forgotten"))
    with writer(world, RollbackPrepared("forgotten")) as fix:
        assert "is not there" in refusals(fix, approve(fix, RollbackPrepared("forgotten"), "again"))


def test_a_slot_without_a_consumer_is_dropped(world: Shop, admin: psycopg.Connection) -> None:
    admin.execute("SELECT pg_create_physical_replication_slot('left_behind', true)")
    lives(world, DropReplicationSlot("left_behind"))


@contextmanager
def session(dsn: str, statement: str) -> Iterator[tuple[psycopg.Connection, str, str]]:
    """An open transaction: its connection, backend_start and the hash of its statement."""
    with psycopg.connect(dsn) as connection:
        pid = connection.info.backend_pid
        connection.execute(statement.encode())
        found = connection.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        assert found is not None
        connection.rollback()
        connection.execute(statement.encode())
        yield connection, found[0].isoformat(), hashlib.sha256(statement.encode()).hexdigest()


def test_an_idle_transaction_is_ended_and_its_successor_is_not(world: Shop) -> None:
    with session(world.app, "SELECT 41") as (holder, started, query):
        action = TerminateBackend(holder.info.backend_pid, started, query)
        lives(world, action)
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
        holder.close()
    with writer(world, action) as fix:
        again = approve(fix, action, "again")
        assert "is gone or is another session" in refusals(fix, again)
        fix.claim(again.approval_id, "run", 0, "run", "X-3")
        # It had ended by itself: what was wanted is there, and nobody was signalled for it.
        assert "no signal was sent" in fix.run(again, "X-3", lambda _: None).detail


def test_a_running_statement_is_cancelled_and_the_session_stays(world: Shop) -> None:
    statement = "SELECT pg_sleep(30)"
    with psycopg.connect(world.app, autocommit=True) as app, psycopg.connect(world.admin, autocommit=True) as admin:
        running = app.pgconn
        running.send_query(statement.encode())
        found = None
        for _ in range(100):
            found = admin.execute(
                "SELECT backend_start FROM pg_stat_activity WHERE pid = %s AND state = 'active'", (running.backend_pid,)
            ).fetchone()
            if found is not None:
                break
            time.sleep(0.02)
        assert found is not None
        query = hashlib.sha256(statement.encode()).hexdigest()
        lives(world, CancelBackend(running.backend_pid, found[0].isoformat(), query))
        result = running.get_result()
        assert result is not None
        assert running.get_result() is None
        assert b"canceling statement due to user request" in result.error_message


def test_a_session_that_does_something_else_by_now_is_left_alone(world: Shop) -> None:
    with session(world.app, "SELECT 42") as (holder, started, query):
        action = TerminateBackend(holder.info.backend_pid, started, query)
        with writer(world, action) as fix:
            approval = approve(fix, action)
            assert refusals(fix, approval) == ""
            holder.execute("SELECT 43")
            assert "does something else by now" in refusals(fix, approval)
            fix.claim(approval.approval_id, "run", 0, "run", "X-1")
            result = fix.run(approval, "X-1", lambda _: None)
        assert (result.status, "no signal was sent" in result.detail) == ("failed", True)
        assert holder.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("whose", ["superuser", "ours"])
def test_a_superusers_session_and_our_own_are_never_ended(world: Shop, whose: str) -> None:
    dsn = world.admin if whose == "superuser" else f"{world.app}?application_name=stanch-fix"
    with session(dsn, "SELECT 44") as (holder, started, query):
        action = TerminateBackend(holder.info.backend_pid, started, query)
        with writer(world, action) as fix:
            approval = approve(fix, action, f"P-{whose}")
            assert ("superuser" if whose == "superuser" else "Stanch's own") in refusals(fix, approval)
            fix.claim(approval.approval_id, "run", 0, "run", "X-1")
            result = fix.run(approval, "X-1", lambda _: None)
        assert (result.status, "no signal was sent" in result.detail) == ("failed", True)
        assert holder.execute("SELECT 1").fetchone() == (1,)


def test_a_signal_that_names_no_statement_is_not_admitted_by_the_preflight(world: Shop) -> None:
    with session(world.app, "SELECT 45") as (holder, started, _):
        action = TerminateBackend(holder.info.backend_pid, started)
        with writer(world, action) as fix:
            assert "query_sha256" in refusals(fix, approve(fix, action))


def test_the_role_of_another_connection_runs_nothing(world: Shop) -> None:
    action = AnalyzeTable(*ITEMS)
    with FixConnection(world.signal, "shop", role="signal", policy=POLICY) as signal:
        approval = approve(signal, action, "P-wrong")
        assert "runs as the fix role" in refusals(signal, approval)
        assert "runs as the fix role" in signal.run(approval, "X-1", lambda _: None).detail


def test_a_rollback_that_would_set_another_value_than_there_was_is_refused(world: Shop) -> None:
    for action in (
        SetTableStorage(*ITEMS, "fillfactor", "80", "70"),
        SetRoleSetting("shop_app", "lock_timeout", "1s", "2s"),
        SetStatisticsTarget(*ITEMS, "kind", 100, 50),
    ):
        with writer(world, action) as fix:
            assert "the rollback would set another one" in refusals(fix, approve(fix, action))


def test_analyze_by_somebody_who_is_not_the_owner_is_no_success(world: Shop, admin: psycopg.Connection) -> None:
    admin.execute("CREATE TABLE IF NOT EXISTS kinds.foreign_to_us AS SELECT 1 AS a")
    action = AnalyzeTable("kinds", "foreign_to_us")
    with writer(world, action, read_back_s=0.5) as fix:
        approval = approve(fix, action)
        assert "may not act as the table's owner" in refusals(fix, approval)
        fix.claim(approval.approval_id, "run", 0, "run", "X-1")
        result = fix.run(approval, "X-1", lambda _: None)
    assert result.status == "failed"
    assert "WARNING" in result.detail


def test_a_partitioned_table_must_have_every_partition_named(world: Shop) -> None:
    action = CreatePartitionedIndex("kinds", "days", ("day",), ("day_two",))
    with writer(world, action) as fix:
        assert "the partitions of kinds.days are not the ones named: day one" in refusals(fix, approve(fix, action))


def test_half_a_partitioned_index_is_given_up_and_cleaned(world: Shop) -> None:
    """The executor died between two partitions; one that was only stopped finds the rest taken when it wakes."""
    action = CreatePartitionedIndex("kinds", "days", ("day", "amount"), ("day one", "day_two"))
    with writer(world, action) as fix:
        approval = approve(fix, action)
        fix.claim(approval.approval_id, "run", 0, "run", "X-1")
        with psycopg.connect(world.fix, autocommit=True) as dead:
            for step in approval.rendered.steps[:2]:
                dead.execute(step.encode())
        seen = fix.inspect(approval, "X-1")
        assert (seen.kind, "1 of 2 partitions" in seen.detail) == ("invalid", True)
        assert fix.clean(approval, "X-1").status == "finished"
        assert fix.inspect(approval, "X-1").kind == "absent"
        assert "given up by another executor" in fix.run(approval, "X-1", lambda _: None).detail
        assert fix.clean(approval, "X-1").status == "finished"
        assert fix.inspect(approval, "X-1").kind == "absent"


def test_statistics_that_were_not_collected_are_half_done(world: Shop) -> None:
    for action in (CreateStatistics(*ITEMS, ("kind", "maker")), SetStatisticsTarget(*ITEMS, "maker", 200)):
        with writer(world, action) as fix:
            approval = approve(fix, action)
            fix.claim(approval.approval_id, "run", 0, "run", "X-1")
            with psycopg.connect(world.fix, autocommit=True) as dead:
                dead.execute(approval.rendered.steps[0].encode())
            assert fix.inspect(approval, "X-1").kind == "invalid"
            assert fix.clean(approval, "X-1").status == "finished"
            assert fix.inspect(approval, "X-1").kind == "absent"


def test_every_kind_was_tried() -> None:
    tried = {action.kind for action in (*_FIXED, *_SET)}
    assert KINDS - tried == {"cancel_backend", "terminate_backend", "rollback_prepared", "drop_replication_slot"}
