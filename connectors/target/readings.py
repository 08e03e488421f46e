"""Answers the readings of agent.database.readings: which query on which server, and what a missing right means."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg import errors

from agent.database.readings import READINGS, Readings, Row, Rows
from agent.database.snapshot import NotVisible
from connectors.target.session import HIDDEN_FROM_US, Connection, reason, row, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.database.limits import Limits
    from agent.database.snapshot import TargetIdentity

SAMPLES = 20
"""Looks at a sampled reading over a window; with 20, what shows in a tenth of the time is missed once in eight."""
LEAST_SAMPLE_PAUSE_S = 0.1
OLDEST = 120_000
_MONITOR = "GRANT pg_monitor TO <diagnose role>"
_NOT_HERE = (
    *HIDDEN_FROM_US,
    errors.UndefinedTable,
    errors.UndefinedFunction,
    errors.UndefinedColumn,
    errors.FeatureNotSupported,
    errors.ObjectNotInPrerequisiteState,
)
"""Errors of one question that leave the others standing: a right, a fork's missing view, a busy lock, a time-out."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a reading comes from. what names it for a person; grant is what shows it to a role that may not see it.

    queries: (from this server_version_num on, name in readings.sql), newest first. extension: one that must be created.
    primary_only: asking makes no sense while in recovery.
    """

    what: str
    queries: tuple[tuple[int, str], ...]
    grant: str = _MONITOR
    extension: str = ""
    primary_only: bool = False


SOURCES: Mapping[str, Source] = {
    "sessions": Source("sessions", ((OLDEST, "read_sessions"),)),
}


def observe(
    connection: Connection,
    identity: TargetIdentity,
    names: Sequence[str],
    window_s: float,
    limits: Limits,
    own: str,
    sleep: Callable[[float], None],
) -> Readings:
    """Takes the readings over window_s; with 0, or nothing among them that needs a window, at once.

    Raises what psycopg raises when the connection is gone; a question that is refused becomes NotVisible.
    """
    taker = _Taker(connection, identity, own)
    twice = [name for name in names if READINGS[name].counters]
    sampled = [name for name in names if READINGS[name].sampled]
    started = time.monotonic()
    before = {name: taker.take(name) for name in twice} if window_s > 0 else {}
    samples = _sampled(taker, sampled, window_s if twice or sampled else 0.0, sleep)
    now = {name: taker.take(name) for name in names if name not in samples}
    return Readings(
        server_version_num=identity.server_version_num,
        database=identity.database,
        in_recovery=identity.in_recovery,
        window_s=time.monotonic() - started if window_s > 0 else 0.0,
        now={**now, **samples},
        before=before,
        limits=limits,
    )


def _sampled(
    taker: _Taker, names: Sequence[str], window_s: float, sleep: Callable[[float], None]
) -> dict[str, Rows | NotVisible]:
    """Waits for the window to pass, and looks meanwhile at what has to be looked at often."""
    looks = max(1, min(SAMPLES, int(window_s / LEAST_SAMPLE_PAUSE_S))) if names else 1
    found: dict[str, Rows | NotVisible] = dict.fromkeys(names, ())
    for number in range(looks):
        if window_s > 0:
            sleep(window_s / looks)
        for name in names:
            so_far, more = found[name], taker.take(name)
            if isinstance(so_far, NotVisible) or isinstance(more, NotVisible):
                found[name] = more if isinstance(more, NotVisible) else so_far
            else:
                found[name] = (*so_far, *({**one, "sample": number} for one in more))
    return found


class _Taker:
    """Asks one server for readings; remembers which extensions it has."""

    def __init__(self, connection: Connection, identity: TargetIdentity, own: str) -> None:
        self._connection = connection
        self._identity = identity
        self._own = own
        self._extensions: dict[str, str | None] = {}

    def take(self, name: str) -> Rows | NotVisible:
        source = SOURCES[name]
        if source.primary_only and self._identity.in_recovery:
            return NotVisible(source.what, "the server is a standby; ask its primary")
        query = next((query for since, query in source.queries if self._identity.server_version_num >= since), None)
        if query is None:
            return NotVisible(source.what, f"server version {self._identity.server_version_num} does not show it")
        home = self._home(source.extension) if source.extension else None
        if source.extension and home is None:
            missing = f"the extension {source.extension} is not created in this database"
            return NotVisible(source.what, missing, f"CREATE EXTENSION {source.extension}")
        try:
            found = rows(self._connection, query, {"own": self._own}, extension_schema=home)
        except _NOT_HERE as error:
            grant = source.grant if isinstance(error, errors.InsufficientPrivilege) else ""
            return NotVisible(source.what, reason(error), grant)
        return tuple(_plain(one) for one in found)

    def _home(self, extension: str) -> str | None:
        if extension not in self._extensions:
            found = row(self._connection, "extension", {"extension": extension})
            self._extensions[extension] = found["schema"] if found else None
        return self._extensions[extension]


def _plain(read: Mapping[str, Any]) -> Row:
    return {name: _scalar(value) for name, value in read.items()}


def _scalar(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return float(value)
        case _:
            return value
