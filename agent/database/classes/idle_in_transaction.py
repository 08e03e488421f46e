"""A session that opened a transaction and went idle: its locks and its snapshot stay, and others wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.blocking import Blocking
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, hidden
from agent.database.sessions import CRITICAL_BEHIND, SIGNAL_PRIVILEGE, idles_in_transaction, terminate, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.limits import Limits

NAME = "idle_in_transaction"


def judge(readings: Readings) -> Judgement:
    sessions = readings.rows("sessions")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    blocking = Blocking.of(sessions)
    found = [_finding(row, blocking) for row in sessions if counts(row, blocking, readings.limits)]
    found.sort(key=lambda finding: -finding.data["behind"])
    unseen = hidden(sessions)
    return (*found, unseen) if unseen else tuple(found)


def counts(row: Row, blocking: Blocking, limits: Limits) -> bool:
    """Whether this session is such an incident: idle in a transaction for long, or shortly with others waiting."""
    if not idles_in_transaction(row):
        return False
    idle_s = row["state_age_s"] or 0.0
    if blocking.directly_behind(row["pid"]) and not blocking.queue_is_ddl(row["pid"]):
        return bool(idle_s >= limits.blocking_idle_s)
    return bool(idle_s >= limits.idle_transaction_s)


def _finding(row: Row, blocking: Blocking) -> Finding:
    pid, behind = row["pid"], len(blocking.behind(row["pid"]))
    idle_s = row["state_age_s"] or 0.0
    stuck = f", and {behind} sessions wait for it" if behind else ""
    return Finding(
        incident_class=NAME,
        severity="critical" if behind >= CRITICAL_BEHIND else "warning",
        title=f"Process {pid} has been idle in a transaction for {idle_s:.0f} s{stuck}",
        evidence=_evidence(row, blocking, behind),
        action=terminate(row),
        advice=(
            "Find why the application leaves transactions open (an exception path without ROLLBACK, a call to another"
            f" service inside one). ALTER ROLE … SET idle_in_transaction_session_timeout for {shown(row['user'], 63)}"
            " keeps it from coming back."
        ),
        ruled_out=(
            "Not a row-lock pile-up behind running work: the root runs nothing, so waiting does not help",
            "Not a runaway query: a cancel does nothing to an idle session",
        ),
        verification="Nobody waits behind it any more, and the session is gone from pg_stat_activity.",
        rollback="",
        privilege=SIGNAL_PRIVILEGE,
        diagram=blocking.tree(pid) if behind else "",
        data={"session": dict(row), "behind": behind},
    )


def _evidence(row: Row, blocking: Blocking, behind: int) -> tuple[str, ...]:
    idle_s, xact_s = row["state_age_s"] or 0.0, row["xact_age_s"] or 0.0
    evidence = [
        f"{who(row)} has been {row['state']} for {idle_s:.1f} s, in a transaction of {xact_s:.1f} s",
        f"The last it ran: {shown(row['query'], 120)}",
    ]
    if behind:
        longest_s = blocking.longest_wait_s(row["pid"])
        evidence.append(f"{behind} sessions wait behind it, the longest for {longest_s:.1f} s")
    if row["backend_xmin_age"] is not None:
        evidence.append(f"It holds a snapshot {row['backend_xmin_age']} transactions old, which vacuum must keep")
    return tuple(evidence)


CLASS = IncidentClass(NAME, "a session sits idle in a transaction and others wait for it", ("sessions",), judge)
