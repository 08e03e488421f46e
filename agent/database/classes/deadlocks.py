"""Transactions that lock the same rows in opposite order, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import Blocking
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "deadlocks"


def judge(readings: Readings) -> Judgement:
    databases = readings.deltas("databases")
    if isinstance(databases, NotVisible):
        return (databases,)
    return tuple(_finding(row, readings) for row in databases if row["this_one"] and row["deadlocks"] > 0)


def _finding(row: Row, readings: Readings) -> Finding:
    sessions = readings.rows("sessions")
    stuck = () if isinstance(sessions, NotVisible) else _in_a_cycle(Blocking.of(sessions))
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{row['deadlocks']} deadlocks in {readings.window_s:.1f} s: transactions are being thrown away",
        evidence=(
            (
                f"pg_stat_database counts {row['deadlocks']} deadlocks and {row['rollbacks']} rollbacks beside"
                f" {row['commits']} commits in {readings.window_s:.1f} s"
            ),
            *(f"Waiting for each other now: {one}" for one in stuck),
        ),
        action=None,
        advice=(
            "The server's log has both statements of each (40P01, DETAIL). Let every transaction lock its rows in one"
            " order (ORDER BY key FOR UPDATE), keep it short, and retry on 40P01. Where a foreign key's child column"
            " has no index, one narrows the locks. A longer deadlock_timeout only delays the discovery."
        ),
        ruled_out=("Not a row-lock pile-up: that has a root and ends no transaction; here the server ended them",),
        verification="pg_stat_database.deadlocks stays where it is for five minutes.",
        rollback="",
        privilege="none; reading the server's log needs access to it",
        diagram="",
        data={"deadlocks": row["deadlocks"], "window_s": readings.window_s, "lower_bound": row["reset"]},
    )


def _in_a_cycle(blocking: Blocking) -> tuple[str, ...]:
    """Statements of sessions that wait for themselves through others; the server ends one within deadlock_timeout."""
    rooted = {pid for root in blocking.roots() for pid in blocking.behind(root)}
    cycle = [pid for pid in blocking.blocked_by if pid not in rooted]
    return tuple(f"process {pid}, {shown(blocking.sessions[pid]['query'], 100)}" for pid in cycle[:6])


CLASS = IncidentClass(NAME, "transactions end in deadlocks", ("databases", "sessions"), judge)
