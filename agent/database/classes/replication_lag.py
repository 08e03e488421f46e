"""A standby falls behind: in the network, on its disk, or in replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, Rows, hidden
from agent.database.sessions import SIGNAL_PRIVILEGE, cancel, is_client, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction

NAME = "replication_lag"
MIB = 1024 * 1024
BEHIND_BYTES = 32 * MIB
"""Two segments of WAL: less is the unrest of any busy primary."""
CRITICAL_TIMES = 10.0


def judge(readings: Readings) -> Judgement:
    return _on_standby(readings) if readings.in_recovery else _on_primary(readings)


def _on_primary(readings: Readings) -> Judgement:
    standbys, changes = readings.rows("standbys"), readings.deltas("standbys")
    if isinstance(standbys, NotVisible):
        return (standbys,)
    change = {} if isinstance(changes, NotVisible) else {row["pid"]: row["replay_behind_bytes"] for row in changes}
    found = tuple(
        _of_primary(row, change.get(row["pid"], 0), readings)
        for row in standbys
        if row["visible"] and _lags(row, change.get(row["pid"], 0), readings)
    )
    unseen = hidden(standbys)
    return (*found, unseen) if unseen else found


def _lags(row: Row, change: int, readings: Readings) -> bool:
    """By the clock where the server tells, else by bytes that do not shrink: a stuck replay has no fresh times."""
    if (row["replay_lag_s"] or 0.0) >= readings.limits.replication_lag_s and row["replay_behind_bytes"]:
        return True
    return (row["replay_behind_bytes"] or 0) >= BEHIND_BYTES and change >= 0


def _of_primary(row: Row, change: int, readings: Readings) -> Finding:
    name = f"Standby {shown(row['application'], 63)} ({shown(row['client'], 45) or 'local'})"
    behind = row["replay_behind_bytes"] or 0
    where, other, advice = _where(row)
    lag_s = row["replay_lag_s"]
    told = f", {lag_s:.1f} s by its own answers" if lag_s is not None else ""
    return Finding(
        incident_class=NAME,
        severity="critical" if (lag_s or 0.0) >= CRITICAL_TIMES * readings.limits.replication_lag_s else "warning",
        title=f"{name} is {behind / MIB:.0f} MiB behind{told}",
        evidence=(
            (
                f"Behind the primary: sent {_mib(row, 'sent')}, flushed {_mib(row, 'flush')}, replayed"
                f" {_mib(row, 'replay')}; state {row['state']}, {row['sync_state']}"
            ),
            f"In {readings.window_s:.1f} s that changed by {change / MIB:+.1f} MiB",
            f"The gap opens {where}",
        ),
        action=None,
        advice=advice,
        ruled_out=(other, "Not a slot without a consumer: this standby is connected"),
        verification="Lag stays below its limit for five minutes.",
        rollback="",
        privilege="none on the primary; pg_signal_backend on the standby",
        diagram="",
        data={"standby": dict(row), "change_bytes": change},
    )


def _mib(row: Row, stage: str) -> str:
    return f"{(row[f'{stage}_behind_bytes'] or 0) / MIB:.1f} MiB"


def _where(row: Row) -> tuple[str, str, str]:
    """The widest of the three gaps: where it is, what it is not, what to do."""
    sent = row["sent_behind_bytes"] or 0
    flush = (row["flush_behind_bytes"] or 0) - sent
    replay = (row["replay_behind_bytes"] or 0) - (row["flush_behind_bytes"] or 0)
    if replay >= max(sent, flush):
        return (
            "between flush and replay: the standby has the WAL and does not apply it",
            "Not the network, nor the standby's disk: the WAL has been sent and flushed there",
            (
                "Run `stanch diagnose` on the standby: it names the statement that replay waits for, a pause, or a"
                " replay that is simply slower than the writes; then throttle the batch writer."
            ),
        )
    if flush >= sent:
        return (
            "between sending and flush: the standby's disk",
            "Not the network: the WAL has been sent. Not a conflict: it has not been written there yet",
            "Look at the standby's disk; throttle the batch writer until it catches up.",
        )
    return (
        "before sending: the network, or the sender itself",
        "Not the standby: it has not been sent the WAL",
        "Look at the network between the two and at the sender's processor; throttle the batch writer.",
    )


def _on_standby(readings: Readings) -> Judgement:
    recovery, sessions = readings.rows("recovery"), readings.rows("sessions")
    if isinstance(recovery, NotVisible):
        return (recovery,)
    clients = () if isinstance(sessions, NotVisible) else tuple(row for row in sessions if is_client(row))
    found = tuple(_of_standby(row, clients, readings) for row in recovery if _is_behind(row, readings))
    unseen = hidden(clients)
    return (*found, unseen) if unseen else found


def _is_behind(row: Row, readings: Readings) -> bool:
    """A standby that has replayed all it received is not behind, however long ago the last transaction was."""
    if not row["replay_behind_bytes"]:
        return False
    return bool(row["paused"] or (row["last_replay_age_s"] or 0.0) >= readings.limits.replication_lag_s)


def _of_standby(row: Row, clients: Rows, readings: Readings) -> Finding:
    holders = _in_the_way(row, clients)
    waits = row["startup_waits_for"]
    behind_s = row["last_replay_age_s"] or 0.0
    conflict = bool(holders) and not row["paused"]
    return Finding(
        incident_class=NAME,
        severity="critical" if behind_s >= CRITICAL_TIMES * readings.limits.replication_lag_s else "warning",
        title=f"This standby is {behind_s:.0f} s behind: {_cause(row, holders)}",
        evidence=(
            f"{row['replay_behind_bytes'] / MIB:.1f} MiB are received and not replayed",
            f"The last transaction replayed was committed {behind_s:.1f} s ago",
            f"The startup process waits for {waits}" if waits else "The startup process waits for nothing it tells of",
            *(
                (
                    f"{who(one)} is {one['state']}, in a transaction of {one['xact_age_s'] or 0:.1f} s:"
                    f" {shown(one['query'], 80)}"
                )
                for one in holders[:3]
            ),
        ),
        action=_ended(holders[0]) if conflict else None,
        advice=_advice(row, conflict),
        ruled_out=(
            "Not the network, nor this disk: the WAL is here and waits to be replayed",
            "Not a paused replay: pg_is_wal_replay_paused() is false" if not row["paused"] else "Not a conflict",
        ),
        verification="Replay catches up with what is received; lag stays below its limit for five minutes.",
        rollback="",
        privilege=f"{SIGNAL_PRIVILEGE}, on the standby",
        diagram="",
        data={"recovery": dict(row), "in_the_way": [dict(one) for one in holders]},
    )


def _in_the_way(row: Row, clients: Rows) -> list[Row]:
    """Who replay waits for: by the lock manager, else those whose snapshot is older than what waits to be replayed."""
    blocked_by = set(row["startup_blocked_by"] or ())
    named = [one for one in clients if one["pid"] in blocked_by]
    if named or not (row["startup_waits_for"] or "").startswith("RecoveryConflict"):
        return named
    holding = [one for one in clients if one["backend_xmin_age"] is not None or one["xact_age_s"]]
    return sorted(holding, key=lambda one: -(one["xact_age_s"] or 0.0))


def _cause(row: Row, holders: list[Row]) -> str:
    if row["paused"]:
        return "replay is paused"
    return f"replay waits for process {holders[0]['pid']}" if holders else "replay is slower than the writes"


def _ended(row: Row) -> ProposedAction | None:
    return cancel(row) if row["state"] == "active" else None


def _advice(row: Row, conflict: bool) -> str:
    if row["paused"]:
        return "Somebody paused it; SELECT pg_wal_replay_resume() when they agree."
    if conflict:
        return (
            "max_standby_streaming_delay bounds how long replay waits for a statement; hot_standby_feedback avoids the"
            " conflict at the price of dead rows on the primary. Do not promote to get rid of lag."
        )
    return "Throttle the batch writer on the primary until this standby has caught up."


CLASS = IncidentClass(NAME, "a standby falls behind", ("standbys", "recovery", "sessions"), judge)
