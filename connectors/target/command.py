"""An approved command on a connection and a thread of its own, so that its progress can be read meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors

from connectors.target.session import reason, row, rows, verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.rows import DictRow

    from agent.database.execution import Status
    from connectors.target.session import Connection

SETTINGS = {
    # Both leave an INVALID index when they strike; the watchdog takes their place.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "search_path": "pg_catalog",
    # One helper: without any the build took twice as long, with more it competes with the load (measured on 15).
    "max_parallel_maintenance_workers": "1",
    # What is claimed must outlive a crash of the target; signals come from a role that usually only reads.
    "synchronous_commit": "on",
    "default_transaction_read_only": "off",
}
SHORT_LOCK_TIMEOUT = "500ms"
"""For a statement that leaves nothing when it gives up: whatever queues behind it waits no longer than this."""
RETRY_FOR_S = 60.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
NOTICES_KEPT = 20
_CONCURRENT = ("CREATE INDEX CONCURRENTLY ", "DROP INDEX CONCURRENTLY ", "REINDEX INDEX CONCURRENTLY ")
"""How such a statement begins; a name may hold any words."""
_NO_LONGER_OURS = frozenset({None, "57P02", "57P03", "08006", "08003", "08000"})
"""SQLSTATEs after which only the catalog can tell: the connection broke, or the server was going down."""


def lift_interruptions(connection: Connection) -> None:
    """Approved work survives the death of this process: on 14 and later a server may look whether its client lives."""
    rows(connection, "outlive_the_client")


class Command:
    """Runs steps in order, each sent exactly as it is, and stops at the first error.

    may_go_on is asked before every step but the first, on the command's own connection, and answers why not: when
    somebody else gave the rest up meanwhile, a step that was only paused does not come back to life. A step that does
    not build concurrently gets a short lock_timeout and is tried again for retry_for_s; a concurrent one would leave an
    INVALID index each time.
    """

    def __init__(
        self,
        connection: Connection,
        steps: tuple[str, ...],
        *,
        send: Callable[[Connection, str], list[DictRow]] = verbatim,
        may_go_on: Callable[[Connection, int], str | None] = lambda _connection, _step: None,
        retry_for_s: float = RETRY_FOR_S,
    ) -> None:
        self.pid = connection.info.backend_pid
        self.answers: list[list[DictRow]] = []
        self._connection = connection
        self._steps = steps
        self._send = send
        self._may_go_on = may_go_on
        self._retry_for_s = retry_for_s
        self._error: psycopg.Error | None = None
        self._given_up: str | None = None
        self._notices: list[str] = []
        self._cancelled: str | None = None
        # A daemon: what the server does goes on without us, and inspect() finds it again.
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"command on backend {self.pid}")

    def start(self) -> None:
        self._connection.add_notice_handler(self._note)
        self._thread.start()

    def ended(self, within_s: float) -> bool:
        """Waits that long at most."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def cancel(self, why: str) -> None:
        """Asks the server to end it; what is left then is cleaned up by the approved cleanup."""
        if self._cancelled is None:
            self._cancelled = why
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=5.0)

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(self._notices)

    def outcome(self) -> tuple[Status, str]:
        """Once it has ended: how, and the server's words."""
        if self._given_up is not None:
            return "failed", self._given_up
        match self._error:
            case None:
                return "finished", ""
            case error if error.sqlstate in _NO_LONGER_OURS:
                return "unknown", f"the connection broke: {reason(error)}"
            case error if self._cancelled is not None:
                return "failed", f"cancelled by us, {self._cancelled}: {reason(error)}"
            case error:
                return "failed", reason(error)

    def _run(self) -> None:
        try:
            for number, step in enumerate(self._steps):
                self._given_up = self._may_go_on(self._connection, number) if number else None
                if self._given_up is not None:
                    return
                self.answers.append(self._patiently(step))
        except psycopg.Error as error:
            self._error = error

    def _patiently(self, step: str) -> list[DictRow]:
        concurrent = step.startswith(_CONCURRENT)
        limit = "0" if concurrent else SHORT_LOCK_TIMEOUT
        row(self._connection, "set_session", {"name": "lock_timeout", "value": limit})
        pause_s, give_up_at = FIRST_PAUSE_S, time.monotonic() + self._retry_for_s
        while True:
            if self._cancelled is not None:
                raise errors.QueryCanceled("nothing more was sent")
            try:
                return self._send(self._connection, step)
            except errors.LockNotAvailable:
                if concurrent or time.monotonic() + pause_s > give_up_at:
                    raise
            time.sleep(pause_s)
            if time.monotonic() > give_up_at:
                # This process was stopped for a while: what was decided meanwhile, and where, we do not know.
                raise errors.LockNotAvailable("the time to try again has passed")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if len(self._notices) < NOTICES_KEPT:
            self._notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}"[:500])


@dataclass(frozen=True, slots=True)
class Tuning:
    """What makes a build quick without hurting the load.

    No helper when more sessions are active than the server was sized to run at once. Memory is raised to an eighth of
    shared_buffers, at most 1 GB, and never lowered; helpers share it, so it is used once.
    """

    memory_bytes: int
    helpers: int

    def __str__(self) -> str:
        return (
            f"the session builds with {self.memory_bytes // 2**20} MB of maintenance_work_mem and {self.helpers}"
            " parallel helpers; without statement_timeout, and without lock_timeout while it builds concurrently, since"
            " each expiry would leave an INVALID index"
        )

    def apply(self, connection: Connection) -> None:
        for name, value in (
            ("max_parallel_maintenance_workers", str(self.helpers)),
            ("maintenance_work_mem", f"{self.memory_bytes // 1024}kB"),
        ):
            row(connection, "set_session", {"name": name, "value": value})


def tuning(connection: Connection) -> Tuning:
    """For the target as it is now. Raises what psycopg raises."""
    found = row(connection, "load")
    if found is None:
        raise AssertionError("a SELECT without FROM has a row")
    helpers = 0 if found["active"] > found["workers"] else 1
    memory = max(found["maintenance_work_mem"], min(found["shared_buffers"] // 8, _LARGEST_MEMORY_BYTES))
    return Tuning(memory, helpers)


_LARGEST_MEMORY_BYTES = 2**30


def answered_nothing(answers: Sequence[Sequence[DictRow]]) -> bool:
    """Whether the last step, a SELECT under a condition, found nobody to act on."""
    return bool(answers) and not answers[-1]
