"""Answers the readings of agent.database.readings: which query on which server, and what a missing right means."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import errors

from agent.database.readings import READINGS, Readings, Rows
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
_PORT_LINE = 3
_CLOCK_S = 60
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

    queries: (from this server_version_num on, name in readings.sql), newest first. at_start: asked instead at the
    window's start, where only keys and counters matter, and of those only what is not 0. extension: must be created.
    primary_only: asking makes no sense while in recovery.
    """

    what: str
    queries: tuple[tuple[int, str], ...]
    grant: str = _MONITOR
    extension: str = ""
    primary_only: bool = False
    at_start: str = ""


SOURCES: Mapping[str, Source] = {
    "sessions": Source("sessions", ((OLDEST, "read_sessions"),)),
    "settings": Source("settings", ((OLDEST, "read_settings"),)),
    "prepared": Source("prepared transactions", ((OLDEST, "read_prepared"),)),
    "slots": Source("replication slots", ((OLDEST, "read_slots"),)),
    "standbys": Source("standbys", ((OLDEST, "read_standbys"),)),
    "recovery": Source("the progress of recovery", ((OLDEST, "read_recovery"),)),
    "archiver": Source("the archiver", ((OLDEST, "read_archiver"),)),
    "checkpoints": Source(
        "checkpoints", ((170_000, "read_checkpoints"), (OLDEST, "read_checkpoints_before_17")), primary_only=True
    ),
    "databases": Source("database counters", ((OLDEST, "read_databases"),)),
    "oldest_tables": Source("ages of tables", ((OLDEST, "read_oldest_tables"),)),
    "vacuum_needs": Source("tables that await vacuum", ((OLDEST, "read_vacuum_needs"),), primary_only=True),
    "vacuums": Source("vacuums", ((OLDEST, "read_vacuums"),), primary_only=True),
    "wait_events": Source("wait events", ((OLDEST, "read_wait_events"),)),
    "wal_directory": Source("the size of pg_wal", ((OLDEST, "read_wal_directory"),)),
    "temporary_files": Source("temporary files", ((OLDEST, "read_temporary_files"),)),
    "disk": Source("free disk space", ((OLDEST, "read_data_directory"),)),
    "tables": Source("tables", ((OLDEST, "read_tables"),), at_start="read_tables_at_start"),
    "statements": Source(
        "statements",
        ((180_000, "read_statements_from_18"), (130_000, "read_statements"), (OLDEST, "read_statements_before_13")),
        extension="pg_stat_statements",
    ),
    "database_work": Source("the database's work", ((OLDEST, "read_database_work"),)),
    "busy_sessions": Source("sessions", ((OLDEST, "read_busy_sessions"),)),
    "role_settings": Source("settings of roles", ((OLDEST, "read_role_settings"),)),
    "invalid_indexes": Source("invalid indexes", ((OLDEST, "read_invalid_indexes"),)),
    "unused_indexes": Source("unused indexes", ((OLDEST, "read_unused_indexes"),)),
    "duplicate_indexes": Source("duplicate indexes", ((OLDEST, "read_duplicate_indexes"),)),
    "large_indexes": Source("large indexes", ((OLDEST, "read_large_indexes"),)),
    "sequences": Source("sequences", ((OLDEST, "read_sequences"),), primary_only=True),
    "foreign_keys_without_index": Source("foreign keys", ((OLDEST, "read_foreign_keys_without_index"),)),
    "statement_texts": Source(
        "texts of statements", ((OLDEST, "read_statement_texts"),), extension="pg_stat_statements"
    ),
    "index_density": Source("density of indexes", ((OLDEST, "read_index_density"),), extension="pgstattuple"),
    "table_indexes": Source("indexes of a table", ((OLDEST, "read_table_indexes"),)),
    "extended_statistics": Source("statistics over columns", ((OLDEST, "read_extended_statistics"),)),
    "relation_shapes": Source("columns of tables", ((OLDEST, "read_relation_shapes"),)),
    "column_values": Source(
        "common values", ((OLDEST, "read_column_values"),), grant="GRANT SELECT ON <table> TO <diagnose role>"
    ),
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
    twice = [name for name in names if READINGS[name].twice]
    sampled = [name for name in names if READINGS[name].sampled]
    started = time.monotonic()
    before = {name: taker.take(name, at_start=True) for name in twice} if window_s > 0 else {}
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


def asked(
    connection: Connection, identity: TargetIdentity, name: str, params: Mapping[str, Any], own: str
) -> Rows | NotVisible:
    """One reading now, about what params name. Raises what psycopg raises when the connection is gone."""
    return _Taker(connection, identity, own).take(name, params)


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

    def take(self, name: str, params: Mapping[str, Any] | None = None, *, at_start: bool = False) -> Rows | NotVisible:
        source = SOURCES[name]
        if source.primary_only and self._identity.in_recovery:
            return NotVisible(source.what, "the server is a standby; ask its primary")
        query = next((query for since, query in source.queries if self._identity.server_version_num >= since), None)
        if query is None:
            return NotVisible(source.what, f"server version {self._identity.server_version_num} does not show it")
        if at_start and source.at_start:
            query = source.at_start
        home = self._home(source.extension) if source.extension else None
        if source.extension and home is None:
            missing = f"the extension {source.extension} is not created in this database"
            return NotVisible(source.what, missing, f"CREATE EXTENSION {source.extension}")
        try:
            found = rows(self._connection, query, {"own": self._own, **(params or {})}, extension_schema=home)
        except _NOT_HERE as error:
            grant = source.grant if isinstance(error, errors.InsufficientPrivilege) else ""
            return NotVisible(source.what, reason(error), grant)
        return local_disk(found[0]) if name == "disk" else _plain(found)

    def _home(self, extension: str) -> str | None:
        if extension not in self._extensions:
            found = row(self._connection, "extension", {"extension": extension})
            self._extensions[extension] = found["schema"] if found else None
        return self._extensions[extension]


def local_disk(server: Mapping[str, Any]) -> Rows | NotVisible:
    """Space under a data directory of this machine, when its lock file proves that it is this server's."""
    what = SOURCES["disk"].what
    if not server["here"]:
        return NotVisible(
            what, "PostgreSQL does not show it, and the server is on another machine; see its host metrics"
        )
    try:
        lock = (Path(server["path"]) / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        space = shutil.disk_usage(server["path"])
    except OSError as error:
        return NotVisible(what, f"the data directory is not to be read from here: {error.strerror}")
    # Lines 3 and 4 of the lock file: start time in seconds, port.
    started_at, port = (lock[2].strip(), lock[3].strip()) if len(lock) > _PORT_LINE else ("", "")
    if port != server["port"] or not started_at.isdigit() or abs(int(started_at) - server["started_at"]) > _CLOCK_S:
        return NotVisible(what, "a server of another machine or container answers at this address")
    return ({"path": server["path"], "total_bytes": space.total, "free_bytes": space.free},)


def _plain(found: list[dict[str, Any]]) -> Rows:
    """The same rows, their values JSON scalars. There may be ten thousand: only columns that may need it are gone over.

    A column has one type, so its first value tells, unless that is NULL.
    """
    first = found[0] if found else {}
    for name in [name for name, value in first.items() if value is None or isinstance(value, datetime | Decimal)]:
        for read in found:
            value = read[name]
            if isinstance(value, datetime):
                read[name] = value.isoformat()
            elif isinstance(value, Decimal):
                read[name] = float(value)
    return tuple(found)
