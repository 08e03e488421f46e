"""A session that opened a transaction and went idle: its locks and its snapshot stay, and others wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import Blocking
from agent.database.finding import Finding, Judgement, Severity, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, hidden
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import TerminateBackend

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction

NAME = "idle_in_transaction"
IDLE_STATES = frozenset({"idle in transaction", "idle in transaction (aborted)"})
CRITICAL_BEHIND = 5
"""So many blocked sessions are a queue that users feel."""


def judge(readings: Readings) -> Judgement:
    sessions = readings.rows("sessions")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    blocking = Blocking.of(sessions)
    found = [_finding(row, blocking) for row in sessions if _counts(row, blocking, readings)]
    found.sort(key=lambda finding: -finding.data["behind"])
    unseen = hidden(sessions, "transactions")
    return (*found, unseen) if unseen else tuple(found)


def _counts(row: Row, blocking: Blocking, readings: Readings) -> bool:
    if row["state"] not in IDLE_STATES:
        return False
    idle_s = row["state_age_s"] or 0.0
    if blocking.directly_behind(row["pid"]) and not waits_behind_ddl(row["pid"], blocking):
        return idle_s >= readings.limits.blocking_idle_s
    return idle_s >= readings.limits.idle_transaction_s


def waits_behind_ddl(pid: int, blocking: Blocking) -> bool:
    """Whether all that waits for pid is DDL, the rest behind that: the queue is the DDL's, and drains without it."""
    return all(blocking.sessions[waiter]["waits_for_strong_lock"] for waiter in blocking.directly_behind(pid))


def who(row: Row) -> str:
    """A session in words: process, role, application."""
    application = shown(row["application"], 30) or "no application name"
    return f"Process {row['pid']} ({shown(row['user'], 30)}, {application})"


def _finding(row: Row, blocking: Blocking) -> Finding:
    pid, behind = row["pid"], len(blocking.behind(row["pid"]))
    idle_s = row["state_age_s"] or 0.0
    severity: Severity = "critical" if behind >= CRITICAL_BEHIND else "warning"
    stuck = f", {behind} sessions wait for it" if behind else ""
    evidence = [
        f"{who(row)} has been {row['state']} for {idle_s:.1f} s, in a transaction of {row['xact_age_s'] or 0:.1f} s",
        f"The last it ran: {shown(row['query'], 120)}",
    ]
    if behind:
        evidence.append(f"{behind} sessions wait behind it, the longest for {blocking.longest_wait_s(pid):.1f} s")
    if row["backend_xmin_age"] is not None:
        evidence.append(f"It holds a snapshot {row['backend_xmin_age']} transactions old, which vacuum must keep")
    return Finding(
        incident_class=NAME,
        severity=severity,
        title=f"Process {pid} is idle in a transaction for {idle_s:.0f} s{stuck}",
        evidence=tuple(evidence),
        action=_terminate(row),
        advice=(
            "Find why the application leaves transactions open (an exception path without ROLLBACK, a call to another"
            f" service inside one); ALTER ROLE … SET idle_in_transaction_session_timeout for {shown(row['user'], 63)}"
            " keeps it from coming back."
        ),
        ruled_out=(
            "Not a row-lock pile-up behind running work: the root runs nothing, so waiting does not help",
            "Not a runaway query: a cancel does nothing to an idle session",
        ),
        verification="Nobody waits behind it any more, and the session is gone from pg_stat_activity.",
        rollback="",
        privilege="pg_signal_backend; a superuser's session needs a superuser",
        diagram=blocking.tree(pid) if behind else "",
        data={"session": dict(row), "behind": behind},
    )


def _terminate(row: Row) -> ProposedAction | None:
    """None where the role was not shown when the session began: without it a pid is no session."""
    try:
        return proposed(TerminateBackend(row["pid"], row["backend_start"] or ""))
    except UnknownAction:
        return None


CLASS = IncidentClass(NAME, "a session sits idle in a transaction and others wait for it", ("sessions",), judge)
