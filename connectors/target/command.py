"""An approved command on a connection and a thread of its own, so that its progress can be read meanwhile."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import psycopg

from connectors.target.session import reason, rows, verbatim

if TYPE_CHECKING:
    from agent.database.execution import Status
    from connectors.target.session import Connection

SETTINGS = {
    # Both leave an INVALID index when they strike; the watchdog in fix.py takes their place.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "10s",
    "search_path": "pg_catalog",
    # One helper: without any the build took twice as long, with more it competes with the load (measured on 15).
    "max_parallel_maintenance_workers": "1",
}
NOTICES_KEPT = 20
_NO_LONGER_OURS = frozenset({None, "57P02", "57P03", "08006", "08003", "08000"})
"""SQLSTATEs after which only the catalog can tell: the connection broke, or the server was going down."""


def lift_interruptions(connection: Connection) -> None:
    """Approved work survives the death of this process: on 14 and later a server may look whether its client lives."""
    rows(connection, "outlive_the_client")


class Command:
    """Runs steps in order, each sent exactly as it is, and stops at the first error."""

    def __init__(self, connection: Connection, steps: tuple[str, ...]) -> None:
        self.pid = connection.info.backend_pid
        self._connection = connection
        self._steps = steps
        self._error: psycopg.Error | None = None
        self._notices: list[str] = []
        self._cancelled = False
        # A daemon: what the server does goes on without us, and inspect() finds it again.
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"command on backend {self.pid}")

    def start(self) -> None:
        self._connection.add_notice_handler(self._note)
        self._thread.start()

    def ended(self, within_s: float) -> bool:
        """Waits that long at most."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Asks the server to end it; what is left then is cleaned up by the approved cleanup."""
        if not self._cancelled:
            self._cancelled = True
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=5.0)

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(self._notices)

    def outcome(self) -> tuple[Status, str]:
        """Once it has ended: how, and the server's words."""
        match self._error:
            case None:
                return "finished", ""
            case error if error.sqlstate in _NO_LONGER_OURS:
                return "unknown", f"the connection broke: {reason(error)}"
            case error if self._cancelled:
                return "failed", f"cancelled after waiting too long for another session: {reason(error)}"
            case error:
                return "failed", reason(error)

    def _run(self) -> None:
        try:
            for step in self._steps:
                verbatim(self._connection, step)
        except psycopg.Error as error:
            self._error = error

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if len(self._notices) < NOTICES_KEPT:
            self._notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}"[:500])
