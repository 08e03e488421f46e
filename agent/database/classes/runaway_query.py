"""A statement that has been running for far too long while nobody else is to blame."""

from __future__ import annotations

from agent.database.blocking import Blocking
from agent.database.classes import ddl_lock_queue, old_xmin, row_lock_pile_up
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, hidden
from agent.database.sessions import SIGNAL_PRIVILEGE, cancel, is_client, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

NAME = "runaway_query"
TOLD = 5
_MAINTENANCE = ("create", "reindex", "vacuum", "analyze", "alter", "cluster", "refresh", "copy", "checkpoint", "repack")
"""Statements that take their time; a cancel would throw it away, or leave an invalid index."""


def judge(readings: Readings) -> Judgement:
    sessions = readings.rows("sessions")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    blocking = Blocking.of(sessions)
    blamed = {*row_lock_pile_up.roots(blocking, readings.limits), *ddl_lock_queue.heads(blocking, readings.limits)}
    blamed |= {holder.pid for holder in old_xmin.incidents(readings) if holder.pid is not None}
    long = [row for row in sessions if row["pid"] not in blamed and _runs_away(row, readings)]
    long.sort(key=lambda row: -(row["query_age_s"] or 0.0))
    unseen = hidden(sessions)
    found = tuple(_finding(row) for row in long[:TOLD])
    return (*found, unseen) if unseen else found


def _runs_away(row: Row, readings: Readings) -> bool:
    return (
        is_client(row)
        and row["state"] == "active"
        and row["wait_event_type"] != "Lock"
        and (row["query_age_s"] or 0.0) >= readings.limits.long_query_s
        and not row["query"].lstrip().lower().startswith(_MAINTENANCE)
    )


def _finding(row: Row) -> Finding:
    age_s = row["query_age_s"] or 0.0
    waits = f"waiting for {row['wait_event']} ({row['wait_event_type']})" if row["wait_event"] else "on the processor"
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"Process {row['pid']} has been running one statement for {age_s:.0f} s",
        evidence=(
            f"{who(row)} has been active for {age_s:.1f} s, {waits} at this moment",
            f"It runs: {shown(row['query'], 160)}",
        ),
        action=cancel(row),
        advice=(
            "Ask whose it is where that can be found out; a cancel ends the statement and leaves the session."
            f" ALTER ROLE … SET statement_timeout for {shown(row['user'], 63)} bounds the next one. Where the same"
            " statement is usually fast, look at its plan: an index or statistics may be missing."
        ),
        ruled_out=(
            "Not a lock wait: it is not waiting for a lock, and nobody waits for one of its",
            "Not idle in transaction: it is running",
        ),
        verification="The process no longer runs this statement.",
        rollback="",
        privilege=SIGNAL_PRIVILEGE,
        diagram="",
        data={"session": dict(row)},
    )


CLASS = IncidentClass(
    NAME, "a statement has been running for too long", ("sessions", "prepared", "slots", "standbys", "settings"), judge
)
