"""Sessions that wait for rows, behind one that is still at work on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import Blocking
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, hidden
from agent.database.sessions import CRITICAL_BEHIND, SIGNAL_PRIVILEGE, cancel, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.limits import Limits

NAME = "row_lock_pile_up"


def judge(readings: Readings) -> Judgement:
    sessions = readings.rows("sessions")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    blocking = Blocking.of(sessions)
    found = [_finding(pid, blocking) for pid in roots(blocking, readings.limits)]
    unseen = hidden(sessions)
    return (*found, unseen) if unseen else tuple(found)


def roots(blocking: Blocking, limits: Limits) -> tuple[int, ...]:
    """Roots at work, or hidden from us, for whose rows others have waited too long."""
    return tuple(pid for pid in blocking.roots() if _counts(pid, blocking, limits))


def _counts(pid: int, blocking: Blocking, limits: Limits) -> bool:
    root = blocking.sessions.get(pid)
    if root is None or root["state"] not in {"active", "hidden", "fastpath function call"}:
        return False  # a prepared transaction, one that idles, or one that is gone: other incidents, or none any more
    of_rows = [waiter for waiter in blocking.directly_behind(pid) if not blocking.waits_for_table(waiter)]
    return bool(of_rows) and blocking.longest_wait_s(pid) >= limits.lock_wait_s


def _finding(pid: int, blocking: Blocking) -> Finding:
    root, behind = blocking.sessions[pid], len(blocking.behind(pid))
    longest_s = blocking.longest_wait_s(pid)
    return Finding(
        incident_class=NAME,
        severity="critical" if behind >= CRITICAL_BEHIND else "warning",
        title=f"{behind} sessions wait behind process {pid} for rows it has locked, the longest for {longest_s:.0f} s",
        evidence=(
            f"{who(root)} is {_doing(root)}: {shown(root['query'], 120)}",
            f"{behind} sessions wait behind it, directly or through each other, the longest for {longest_s:.1f} s",
        ),
        action=cancel(root),
        advice=(
            "Let it finish where its end is near; otherwise cancel it, which rolls its transaction back. In the"
            " application: smaller batches, hot rows last in the transaction, lock_timeout for those who wait."
        ),
        ruled_out=(
            "Not idle in transaction: the root is running a statement, which a cancel ends",
            "Not a DDL queue: what is waited for are rows, not a table",
            "Not a deadlock: the chain has a root that waits for nobody",
        ),
        verification="pg_locks has no row that is not granted behind this process; commits per second are back.",
        rollback="",
        privilege=SIGNAL_PRIVILEGE,
        diagram=blocking.tree(pid),
        data={"root": dict(root), "behind": behind, "longest_wait_s": longest_s},
    )


def _doing(root: Row) -> str:
    if not root["visible"]:
        return "doing what this role is not shown"
    return f"active for {root['query_age_s'] or 0:.1f} s, in a transaction of {root['xact_age_s'] or 0:.1f} s"


CLASS = IncidentClass(NAME, "sessions wait for rows that a running statement has locked", ("sessions",), judge)
