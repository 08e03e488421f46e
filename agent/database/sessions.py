"""One session of the reading "sessions": in words, and what can be done to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agent.database.finding import proposed
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import CancelBackend, TerminateBackend

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.readings import Row

IDLE_IN_TRANSACTION = frozenset({"idle in transaction", "idle in transaction (aborted)"})
CRITICAL_BEHIND = 5
"""So many blocked sessions are a queue that users feel."""
SIGNAL_PRIVILEGE = "pg_signal_backend; a superuser's session needs a superuser"
_NAME_CHARS = 30


def who(row: Row) -> str:
    """Process, role and application."""
    application = shown(row["application"], _NAME_CHARS) or "no application name"
    return f"Process {row['pid']} ({shown(row['user'], _NAME_CHARS)}, {application})"


def is_client(row: Row) -> bool:
    return bool(row["backend_type"] == "client backend")


def idles_in_transaction(row: Row) -> bool:
    return row["state"] in IDLE_IN_TRANSACTION


def terminate(row: Row) -> ProposedAction | None:
    """None where we were not shown when the session began: a pid alone names no session, since it is used again."""
    try:
        return proposed(TerminateBackend(row["pid"], row["backend_start"] or "", _digest(row)))
    except UnknownAction:
        return None


def _digest(row: Row) -> str:
    """Of the statement as the reading "sessions" has it, cut where the action cuts it before it looks again."""
    return hashlib.sha256(row["query"].encode()).hexdigest()


def cancel(row: Row) -> ProposedAction | None:
    """None as in terminate()."""
    try:
        return proposed(CancelBackend(row["pid"], row["backend_start"] or "", _digest(row)))
    except UnknownAction:
        return None
