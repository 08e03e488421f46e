"""Connections, snapshots, freezing, vacuum, replication, WAL, cache, internal locks, disk."""

from __future__ import annotations

from typing import Any

import pytest

from agent.database.classes.connection_exhaustion import refused
from agent.database.limits import Limits
from tests.agent.database.classes.snapshots import (
    HIDDEN,
    findings,
    hidden_session,
    named,
    readings,
    session,
    settings,
    unseen,
    waits_for_table,
)

MIB = 1024 * 1024
GIB = 1024 * MIB
SLOT = {
    "slot": "warehouse",
    "type": "logical",
    "database": "shop",
    "active": False,
    "active_pid": None,
    "temporary": False,
    "xmin_age": None,
    "catalog_xmin_age": None,
    "retained_bytes": 2 * GIB,
    "wal_status": "extended",
    "safe_bytes": None,
}
DATABASE = {
    "database": "shop",
    "this_one": True,
    "xid_age": 1000,
    "mxid_age": 0,
    "commits": 0,
    "rollbacks": 0,
    "deadlocks": 0,
    "blks_read": 0,
    "blks_hit": 0,
    "read_ms": 0,
}
ARCHIVER = {
    "archived_count": 5,
    "failed_count": 3,
    "last_archived_wal": "000000010000000000000001",
    "last_failed_wal": "000000010000000000000002",
    "last_archived_age_s": 100.0,
    "last_failed_age_s": 10.0,
}
STANDBY = {
    "pid": 9,
    "user": "replicator",
    "application": "standby1",
    "client": "10.0.0.9",
    "state": "streaming",
    "sync_state": "async",
    "backend_xmin_age": None,
    "sent_behind_bytes": 0,
    "flush_behind_bytes": 0,
    "replay_behind_bytes": 64 * MIB,
    "replay_lag_s": None,
    "visible": True,
}
DISK = {"path": "/data", "total_bytes": 100 * GIB, "free_bytes": 3 * GIB}


def dead_rows(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "public",
        "table": "orders",
        "live_rows": 100_000,
        "dead_rows": 90_000,
        "wanted_at_rows": 20_050,
        "enabled": True,
        "last_autovacuum_age_s": None,
        "last_vacuum_age_s": None,
        "shut_out_by": [],
    } | changes


# Connections


def test_idle_connections_of_one_application_are_a_leak_and_its_longest_idle_are_ended() -> None:
    leaked = tuple(session(pid, application="leaky", state_age_s=float(pid)) for pid in range(1, 93))
    (finding,) = findings("connection_exhaustion", readings(sessions=leaked))
    assert finding.action is not None
    assert finding.action.params["pid"] == 92
    assert len(finding.further_actions) == 19
    assert finding.data["usable"] == 97


def test_connections_that_are_all_at_work_are_not_ended() -> None:
    busy = tuple(session(pid, state="active", query_age_s=1.0) for pid in range(1, 93))
    (finding,) = findings("connection_exhaustion", readings(sessions=busy))
    assert finding.action is None
    assert "pool that leaks" in finding.ruled_out[0]


def test_whether_hidden_connections_are_idle_is_not_guessed() -> None:
    (finding,) = findings(
        "connection_exhaustion", readings(sessions=tuple(hidden_session(pid) for pid in range(1, 93)))
    )
    assert finding.action is None
    assert finding.ruled_out == ()
    assert "not visible to this role" in finding.advice


def test_reserved_connections_are_not_counted_as_usable() -> None:
    sessions = tuple(session(pid) for pid in range(1, 80))
    assert not named(readings(sessions=sessions))
    assert named(readings(sessions=sessions, settings=settings(reserved_connections="10"))) == {"connection_exhaustion"}


def test_a_server_that_refuses_even_the_diagnosis_says_what_is_wrong_by_that() -> None:
    finding = refused("connection to server failed: FATAL: sorry, too many clients already")
    assert finding is not None
    assert finding.severity == "critical"
    assert refused("password authentication failed") is None


# Old snapshots


def test_the_oldest_of_all_holders_is_named() -> None:
    report = session(1, state="active", xact_age_s=900.0, backend_xmin_age=200_000)
    given = readings(sessions=(report,), slots=({**SLOT, "catalog_xmin_age": 300_000, "retained_bytes": 0},))
    (finding,) = findings("old_xmin", given)
    assert finding.data["kind"] == "slot"
    assert finding.action is not None
    assert finding.action.kind == "drop_replication_slot"
    (of_report,) = findings("old_xmin", readings(sessions=(report,)))
    assert of_report.action is not None
    assert of_report.action.kind == "cancel_backend"


def test_a_snapshot_in_another_database_holds_nothing_back_here() -> None:
    assert not named(readings(sessions=(session(1, database="other", backend_xmin_age=10**6),)))


def test_a_holder_that_another_incident_names_is_not_named_twice() -> None:
    idle = session(1, state="idle in transaction", state_age_s=900.0, xact_age_s=900.0, backend_xmin_age=10**6)
    assert named(readings(sessions=(idle,))) == {"idle_in_transaction"}
    assert named(readings(slots=({**SLOT, "xmin_age": 10**6},))) == {"slot_retains_wal"}


def test_a_standbys_snapshot_is_the_standbys_to_end() -> None:
    (finding,) = findings(
        "old_xmin", readings(standbys=({**STANDBY, "backend_xmin_age": 10**6, "replay_behind_bytes": 0},))
    )
    assert finding.data["kind"] == "standby"
    assert finding.action is None


# Wraparound


def test_wraparound_freezes_the_oldest_table_that_is_not_the_systems() -> None:
    tables = tuple(
        {"schema": schema, "table": table, "xid_age": 1_400_000_000, "mxid_age": 0, "bytes": 8192}
        for schema, table in (("pg_catalog", "pg_class"), ("public", "orders"))
    )
    given = readings(databases=({**DATABASE, "xid_age": 1_400_000_000},), oldest_tables=tables)
    (finding,) = findings("wraparound", given)
    assert finding.action is not None
    assert finding.action.command == "VACUUM (FREEZE) public.orders"
    assert finding.action.lock == "ShareUpdateExclusiveLock"


def test_freezing_is_not_proposed_while_something_holds_it_back() -> None:
    given = readings(
        databases=({**DATABASE, "xid_age": 1_700_000_000},),
        prepared=(
            {"gid": "g", "database": "shop", "owner": "o", "age_s": 9.0, "xid_age": 1_600_000_000, "blocks": []},
        ),
    )
    (finding,) = findings("wraparound", given)
    assert (finding.severity, finding.action) == ("critical", None)
    assert "prepared transaction g" in finding.advice


def test_an_age_that_autovacuum_handles_is_no_incident() -> None:
    assert not named(readings(databases=({**DATABASE, "xid_age": 250_000_000},)))


# Autovacuum


def test_each_reason_why_autovacuum_does_not_come_has_its_own_cure() -> None:
    holder = session(5, state="idle in transaction", xact_age_s=20.0, state_age_s=20.0)
    workers = tuple(
        session(pid, backend_type="autovacuum worker", state="active", wait_event="VacuumDelay") for pid in (6, 7, 8)
    )
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"settings": settings(autovacuum="off"), "vacuum_needs": (dead_rows(),)}, "vacuum_table"),
        ({"vacuum_needs": (dead_rows(enabled=False),)}, "set_table_storage"),
        ({"vacuum_needs": (dead_rows(shut_out_by=[5]),), "sessions": (holder,)}, "terminate_backend"),
        ({"vacuum_needs": (dead_rows(),), "sessions": workers}, "alter_system_reload"),
    ]
    for given, kind in cases:
        (finding,) = findings("autovacuum_starved", readings(**given))
        assert finding.action is not None
        assert finding.action.kind == kind


def test_a_build_that_keeps_autovacuum_out_is_left_to_finish() -> None:
    build = session(5, state="active", query="CREATE INDEX CONCURRENTLY i ON orders (a)")
    (finding,) = findings("autovacuum_starved", readings(vacuum_needs=(dead_rows(shut_out_by=[5]),), sessions=(build,)))
    assert finding.action is None


def test_an_autovacuum_that_may_be_about_to_come_is_no_incident() -> None:
    assert not findings("autovacuum_starved", readings(vacuum_needs=(dead_rows(),)))


def test_dead_rows_that_a_snapshot_keeps_are_not_autovacuums_fault() -> None:
    report = session(1, state="active", xact_age_s=30.0, query_age_s=30.0, backend_xmin_age=10**6)
    given = readings(vacuum_needs=(dead_rows(enabled=False),), sessions=(report,))
    assert not findings("autovacuum_starved", given)
    assert findings("old_xmin", given)


# Replication


@pytest.mark.parametrize(
    ("sent", "flush", "where"),
    [(0, 0, "between flush and replay"), (0, 60, "the standby's disk"), (60, 61, "before sending")],
)
def test_the_widest_gap_says_where_a_standby_falls_behind(sent: int, flush: int, where: str) -> None:
    row = {**STANDBY, "sent_behind_bytes": sent * MIB, "flush_behind_bytes": flush * MIB}
    (finding,) = findings("replication_lag", readings(standbys=(row,)))
    assert where in finding.evidence[2]


def test_a_standby_that_catches_up_is_not_behind() -> None:
    before = ({**STANDBY, "replay_behind_bytes": 200 * MIB},)
    assert not named(readings(standbys=(STANDBY,), before={"standbys": before}))


def test_a_quiet_primary_does_not_make_its_standby_late() -> None:
    quiet = {
        "replay_behind_bytes": 0,
        "last_replay_age_s": 86_400.0,
        "paused": False,
        "receiver": "streaming",
        "startup_waits_for": None,
        "startup_blocked_by": None,
    }
    assert not named(readings(recovery=(quiet,), in_recovery=True))
    late = {**quiet, "replay_behind_bytes": MIB}
    (finding,) = findings("replication_lag", readings(recovery=(late,), in_recovery=True))
    assert "slower than the writes" in finding.title
    (paused,) = findings("replication_lag", readings(recovery=({**late, "paused": True},), in_recovery=True))
    assert "paused" in paused.title
    assert paused.action is None


def test_checkpoints_of_a_standby_are_its_primarys_and_no_gap_in_what_is_seen() -> None:
    assert not unseen("checkpoint_storm", readings(checkpoints=HIDDEN, in_recovery=True))
    assert unseen("checkpoint_storm", readings(checkpoints=HIDDEN)) == [HIDDEN]


# WAL


def test_an_inactive_slot_counts_from_what_checkpoints_would_leave_anyway() -> None:
    assert named(readings(slots=(SLOT,))) == {"slot_retains_wal"}
    assert not named(readings(slots=({**SLOT, "retained_bytes": 100 * MIB},)))
    assert not named(readings(slots=({**SLOT, "active": True},)))
    assert not named(readings(slots=({**SLOT, "temporary": True},)))


def test_a_lost_slot_is_told_and_hurts_nobody_any_more() -> None:
    (finding,) = findings("slot_retains_wal", readings(slots=({**SLOT, "wal_status": "lost", "retained_bytes": None},)))
    assert finding.severity == "notice"


@pytest.mark.parametrize(
    ("archived", "failed", "fails"),
    [(100.0, 10.0, True), (None, 10.0, True), (10.0, 100.0, False), (10.0, None, False)],
)
def test_the_archiver_fails_when_its_last_word_is_a_failure(
    archived: float | None, failed: float | None, fails: bool
) -> None:
    row = {**ARCHIVER, "last_archived_age_s": archived, "last_failed_age_s": failed}
    assert bool(findings("archiver_failing", readings(archiver=(row,)))) is fails


def storm(requested: int, wal_mib: int, timed: int = 0) -> Any:
    start = {"timed": 0, "requested": 0, "write_ms": 0, "buffers": 0, "wal_bytes": 0}
    end = {"timed": timed, "requested": requested, "write_ms": 9, "buffers": 900, "wal_bytes": wal_mib * MIB}
    return readings(checkpoints=(end,), before={"checkpoints": (start,)})


def test_checkpoints_by_wal_are_told_from_those_asked_for_by_hand() -> None:
    (finding,) = findings("checkpoint_storm", storm(requested=3, wal_mib=3000))
    assert finding.action is not None
    assert finding.action.params["setting"] == "max_wal_size"
    assert finding.action.params["previous"] == "1024MB"
    assert not named(storm(requested=3, wal_mib=5))
    assert not named(storm(requested=1, wal_mib=3000, timed=1))


# Cache and internal locks


def test_misses_are_counted_in_the_window_by_their_rate_and_their_share() -> None:
    def after(read: int, hit: int) -> Any:
        return readings(
            databases=({**DATABASE, "blks_read": read, "blks_hit": hit},), before={"databases": (DATABASE,)}
        )

    assert named(after(60_000, 60_000)) == {"cache_misses"}
    assert not named(after(60_000, 6_000_000))
    assert not named(after(100, 100))


@pytest.mark.parametrize(
    ("event", "family"),
    [("LockManager", "LockManager"), ("lock_manager", "LockManager"), ("SubtransSLRULock", "SubtransSLRU"),
     ("MultiXactOffsetSLRU", "MultiXact"), ("BufferMapping", "BufferMapping"), ("WALWriteLock", "WALWrite")],
)  # fmt: skip
def test_internal_locks_are_named_by_family_whatever_the_version_calls_them(event: str, family: str) -> None:
    looks = tuple(
        row
        for sample in range(20)
        for row in (
            {"wait_event_type": "LWLock", "wait_event": event, "sessions": 12, "sample": sample},
            {"wait_event_type": "CPU", "wait_event": "CPU", "sessions": 6, "sample": sample},
            {"wait_event_type": "Lock", "wait_event": "tuple", "sessions": 1, "sample": sample},
        )
    )
    (finding,) = findings("lwlock_contention", readings(wait_events=looks))
    assert finding.data["family"] == family


def test_a_few_waits_for_internal_locks_are_chance() -> None:
    few = ({"wait_event_type": "LWLock", "wait_event": "LockManager", "sessions": 3, "sample": 0},)
    assert not named(readings(wait_events=few))


# Disk


def test_what_fills_a_disk_is_named_and_only_a_slot_has_a_command() -> None:
    wal, temporary = ({"files": 900, "bytes": 15 * GIB},), ({"files": 3, "bytes": 40 * GIB},)
    small = ({"files": 2, "bytes": MIB},)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"wal_directory": wal, "slots": (SLOT,)}, "an inactive slot"),
        ({"wal_directory": wal, "archiver": (ARCHIVER,)}, "cannot be archived"),
        ({"wal_directory": wal}, "WAL fills it"),
        ({"wal_directory": small, "temporary_files": temporary}, "temporary files"),
        ({"wal_directory": small, "temporary_files": small}, "tables and indexes"),
    ]
    for given, words in cases:
        (finding,) = findings("disk_full", readings(disk=(DISK,), **given))
        assert words in finding.title
        assert (finding.action is not None) is ("slots" in given)
        assert finding.severity == "critical"


def test_a_disk_that_is_not_shown_is_not_a_disk_with_room() -> None:
    assert unseen("disk_full", readings(disk=HIDDEN)) == [HIDDEN]
    assert not named(readings(disk=({**DISK, "free_bytes": 20 * GIB},)))
    assert named(readings(disk=({**DISK, "free_bytes": 20 * GIB},), limits=Limits(disk_free_share=0.3))) == {
        "disk_full"
    }


def test_a_quiet_server_has_no_incident() -> None:
    assert not named(readings(sessions=(session(1), waits_for_table(2, [1], waiting_s=0.1))))
