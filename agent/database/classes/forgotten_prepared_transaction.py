"""A transaction was prepared for two-phase commit, and nobody came back to finish it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import PREPARED, Blocking
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.sessions import CRITICAL_BEHIND
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import RollbackPrepared

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.limits import Limits
    from agent.database.readings import Readings, Row, Rows

NAME = "forgotten_prepared_transaction"


def judge(readings: Readings) -> Judgement:
    prepared, sessions = readings.rows("prepared"), readings.rows("sessions")
    if isinstance(prepared, NotVisible):
        return (prepared,)
    seen = () if isinstance(sessions, NotVisible) else sessions
    found = tuple(_finding(row, seen, readings) for row in prepared if counts(row, seen, readings.limits))
    return (*found, sessions) if isinstance(sessions, NotVisible) else found


def counts(row: Row, sessions: Rows, limits: Limits) -> bool:
    """Whether it is old, or others have waited for it."""
    waits = [one["waiting_s"] or 0.0 for one in sessions if one["pid"] in row["blocks"]]
    return bool(row["age_s"] >= limits.prepared_s or max(waits, default=0.0) >= limits.lock_wait_s)


def rolled_back(row: Row) -> ProposedAction | None:
    """None for an identifier that no person could check in a command."""
    try:
        return proposed(RollbackPrepared(row["gid"]))
    except UnknownAction:
        return None


def _finding(row: Row, sessions: Rows, readings: Readings) -> Finding:
    blocking = Blocking.of(sessions)
    waiting = {pid for pid in row["blocks"] if pid in blocking.blocked_by}
    behind = len(waiting.union(*(blocking.behind(pid) for pid in waiting)))
    elsewhere = row["database"] != readings.database
    stuck = f", and {behind} sessions wait for it" if behind else ""
    return Finding(
        incident_class=NAME,
        severity="critical" if behind >= CRITICAL_BEHIND else "warning",
        title=f"Prepared transaction {shown(row['gid'])} has been left for {row['age_s']:.0f} s{stuck}",
        evidence=(
            f"Prepared by {shown(row['owner'], 63)} in {shown(row['database'], 63)} {row['age_s']:.0f} s ago",
            f"It is {row['xid_age']} transactions old; its locks and its snapshot survive a restart",
            *((f"{behind} sessions wait for its locks",) if behind else ()),
        ),
        action=None if elsewhere else rolled_back(row),
        advice=(
            ("Connect to its database to end it. " if elsewhere else "")
            + "Ask the coordinator whether it wants COMMIT PREPARED: what is rolled back is lost, and the other side"
            " may have committed. Without a coordinator set max_prepared_transactions to 0."
        ),
        ruled_out=("Not idle in transaction: no session holds it, so there is none to end",),
        verification="pg_prepared_xacts no longer lists it, and nobody waits for process 0.",
        rollback="",
        privilege="its owner, or a superuser, in its own database",
        diagram=blocking.tree(PREPARED) if behind else "",
        data={"prepared": dict(row), "behind": behind},
    )


CLASS = IncidentClass(NAME, "a prepared transaction has been forgotten", ("prepared", "sessions"), judge)
