"""DDL that waits for a table or holds it, and everybody else queueing behind the DDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import Blocking
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, hidden
from agent.database.sessions import CRITICAL_BEHIND, SIGNAL_PRIVILEGE, cancel, terminate, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.limits import Limits

NAME = "ddl_lock_queue"


def judge(readings: Readings) -> Judgement:
    sessions = readings.rows("sessions")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    blocking = Blocking.of(sessions)
    found = [_finding(pid, blocking) for pid in heads(blocking, readings.limits)]
    unseen = hidden(sessions)
    return (*found, unseen) if unseen else tuple(found)


def heads(blocking: Blocking, limits: Limits) -> tuple[int, ...]:
    """The first DDL of each queue: it waits for a table itself, or it works on one, and others wait behind it."""
    waiting = [pid for pid in blocking.blocked_by if _waits_first(pid, blocking)]
    working = [pid for pid in blocking.roots() if _works(pid, blocking)]
    found = [pid for pid in (*working, *waiting) if blocking.longest_wait_s(pid) >= limits.lock_wait_s]
    return tuple(sorted(found, key=lambda pid: -len(blocking.behind(pid))))


def _waits_first(pid: int, blocking: Blocking) -> bool:
    if not blocking.wants_strong_lock(pid) or not blocking.behind(pid):
        return False
    return not any(blocking.wants_strong_lock(blocker) for blocker in blocking.blocked_by[pid])


def _works(pid: int, blocking: Blocking) -> bool:
    root = blocking.sessions.get(pid)
    if root is None or root["state"] != "active":
        return False
    kept_out = [waiter for waiter in blocking.directly_behind(pid) if blocking.waits_for_table(waiter)]
    return any(not blocking.wants_strong_lock(waiter) for waiter in kept_out)


def _finding(pid: int, blocking: Blocking) -> Finding:
    ddl, behind = blocking.sessions[pid], len(blocking.behind(pid))
    blockers = blocking.blocked_by.get(pid, ())
    table = ddl["wanted_relation"] or next(
        (blocking.sessions[waiter]["wanted_relation"] for waiter in blocking.directly_behind(pid)), None
    )
    doing = f"has waited {ddl['waiting_s'] or 0:.1f} s for {ddl['wanted_mode']}" if blockers else "holds the table"
    name = shown(table or "a table of another database", 130)
    return Finding(
        incident_class=NAME,
        severity="critical" if behind >= CRITICAL_BEHIND else "warning",
        title=f"{behind} sessions queue for {name} behind the DDL of process {pid}",
        evidence=(
            f"{who(ddl)} {doing} on {name}: {shown(ddl['query'], 120)}",
            *(f"It waits for {_words(blocker, blocking)}" for blocker in blockers),
            f"{behind} sessions queue behind it, the longest for {blocking.longest_wait_s(pid):.1f} s",
        ),
        action=cancel(ddl) if ddl["state"] == "active" else terminate(ddl),
        advice=(
            "Run the DDL again with SET lock_timeout = '500ms' and retries, so that nobody ever queues behind it for"
            " longer; what it waits for can end by itself. `stanch sql check` names the lock of each statement."
        ),
        ruled_out=(
            "Not the fault of what the DDL waits for: without the DDL nobody would wait, since that lock is a weak one"
            if blockers
            else "Not a row-lock pile-up: what is waited for is the table itself",
            "Not idle in transaction: ending the DDL drains the queue at once and loses no application's work",
        ),
        verification="pg_locks has no row that is not granted on this table.",
        rollback="Run the DDL again later, with a lock_timeout.",
        privilege=SIGNAL_PRIVILEGE,
        diagram="\n".join(blocking.tree(root) for root in (blockers or (pid,))),
        data={"ddl": dict(ddl), "behind": behind, "table": table, "waits_for": list(blockers)},
    )


def _words(pid: int, blocking: Blocking) -> str:
    row = blocking.sessions.get(pid)
    if row is None:
        return "a prepared transaction" if pid == 0 else f"process {pid}, which this role is not shown"
    if not row["visible"]:
        return f"{who(row)[0].lower()}{who(row)[1:]}, of which this role is shown no more"
    since_s = row["xact_age_s"] or 0.0
    return f"process {pid}, {row['state']}, in a transaction of {since_s:.1f} s: {shown(row['query'], 80)}"


CLASS = IncidentClass(NAME, "sessions queue for a table behind DDL", ("sessions",), judge)
