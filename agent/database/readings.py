"""Named readings of a target's catalog and statistics: what the judgements of agent.database.classes look at.

A reading is a tuple of rows; a row maps column names to JSON scalars or lists of them. Ages are seconds, moments
RFC 3339 text, sizes bytes. Which query answers a reading on which server is connectors.target.readings' to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from agent.database.limits import Limits
from agent.database.snapshot import NotVisible

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a reading behaves over time.

    keys name a row. counters only ever grow, gauges go up and down: where there are any, the reading is taken at both
    ends of the window. sampled: taken several times over the window, each row with its sample's number, from 0, as
    "sample".
    """

    keys: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    gauges: tuple[str, ...] = ()
    sampled: bool = False

    @property
    def twice(self) -> bool:
        return bool(self.counters or self.gauges)


READINGS: Mapping[str, Reading] = {
    "sessions": Reading(keys=("pid",)),
    "settings": Reading(keys=("name",)),
    "prepared": Reading(keys=("gid",)),
    "slots": Reading(keys=("slot",), gauges=("retained_bytes",)),
    "standbys": Reading(keys=("pid",), gauges=("replay_behind_bytes",)),
    "recovery": Reading(gauges=("replay_behind_bytes",)),
    "archiver": Reading(counters=("archived_count", "failed_count")),
    "checkpoints": Reading(counters=("timed", "requested", "write_ms", "buffers", "wal_bytes")),
    "databases": Reading(
        keys=("database",),
        counters=(
            "commits",
            "rollbacks",
            "blks_read",
            "blks_hit",
            "tup_returned",
            "tup_fetched",
            "tup_inserted",
            "tup_updated",
            "tup_deleted",
            "conflicts",
            "temp_files",
            "temp_bytes",
            "deadlocks",
            "read_ms",
        ),
    ),
    "oldest_tables": Reading(keys=("schema", "table")),
    "vacuum_needs": Reading(keys=("schema", "table")),
    "vacuums": Reading(keys=("pid",), gauges=("heap_blks_scanned", "heap_blks_vacuumed")),
    "wait_events": Reading(keys=("wait_event_type", "wait_event"), sampled=True),
    "wal_directory": Reading(gauges=("bytes",)),
    "temporary_files": Reading(),
    "disk": Reading(keys=("path",)),
    "tables": Reading(
        keys=("relid",),
        counters=("seq_scan", "seq_tup_read", "inserted", "updated", "deleted", "hot_updated"),
    ),
    "statements": Reading(
        keys=("userid", "queryid"),
        counters=(
            *("calls", "total_exec_ms", "sum_squared_ms", "rows", "shared_blks_read", "temp_blks_written"),
            "generic_calls",
        ),
    ),
    "database_work": Reading(
        keys=("database",),
        counters=("commits", "rollbacks", "inserted", "updated", "deleted", "temp_files", "temp_bytes"),
    ),
    "busy_sessions": Reading(keys=("pid",), sampled=True),
    "role_settings": Reading(keys=("role", "database", "setting")),
    "invalid_indexes": Reading(keys=("schema", "name")),
    "unused_indexes": Reading(keys=("index_id",)),
    "duplicate_indexes": Reading(keys=("index_id",)),
    "large_indexes": Reading(keys=("index_id",)),
    "sequences": Reading(keys=("schema", "name")),
    "foreign_keys_without_index": Reading(keys=("relid", "name")),
    "statement_texts": Reading(keys=("userid", "queryid")),
    "index_density": Reading(keys=("index_id",)),
    "table_indexes": Reading(keys=("index_id",)),
    "relation_shapes": Reading(keys=("schema", "table")),
    "column_values": Reading(keys=("column",)),
    "extended_statistics": Reading(keys=("name",)),
}
"""Every reading by name. An entry here and a source in connectors.target.readings.SOURCES belong together."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read of one target, window_s apart.

    now: at the window's end. before: at its start, for readings with counters.
    """

    server_version_num: int
    database: str
    in_recovery: bool
    window_s: float
    now: Mapping[str, Rows | NotVisible]
    before: Mapping[str, Rows | NotVisible] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    known_deltas: dict[str, Rows] = field(default_factory=dict, repr=False, compare=False)
    """What deltas() has worked out already; several classes ask for the same."""

    def rows(self, name: str) -> Rows | NotVisible:
        """At the window's end. NotVisible too when nobody took the reading."""
        return self.now.get(name, NotVisible(name, "it was not read"))

    def deltas(self, name: str) -> Rows | NotVisible:
        """The rows as of the window's end, with each counter and gauge replaced by its change in the window.

        A row that is new counts from zero. So does one whose counters went back or whose reset_at moved: its changes
        are lower bounds, and its "reset" is True. A gauge of a new row has not changed.
        """
        now, before = self.rows(name), self.before.get(name, NotVisible(name, "it was read only once"))
        if isinstance(now, NotVisible):
            return now
        if isinstance(before, NotVisible):
            return before
        if name not in self.known_deltas:
            self.known_deltas[name] = between(READINGS[name], before, now)
        return self.known_deltas[name]

    def with_rows(self, name: str, rows: Rows | NotVisible) -> Readings:
        known = {one: deltas for one, deltas in self.known_deltas.items() if one != name}
        return replace(self, now={**self.now, name: rows}, known_deltas=known)


def between(reading: Reading, before: Rows, now: Rows) -> Rows:
    """What happened between two takes of one reading; see Readings.deltas()."""
    start = {_key(reading, row): row for row in before}
    return tuple(_delta(reading, start.get(_key(reading, row)), row) for row in now)


def _key(reading: Reading, row: Row) -> tuple[Any, ...]:
    return tuple([row[name] for name in reading.keys])  # a list first: there may be ten thousand rows


def _delta(reading: Reading, before: Row | None, now: Row) -> Row:
    was: Row = before if before is not None else {}
    reset = before is not None and now.get("reset_at") != before.get("reset_at")
    changes: dict[str, Any] = {}
    for name in reading.counters:
        value = now.get(name)
        if value is not None:
            changes[name] = value - (was.get(name) or 0)
            reset = reset or changes[name] < 0
    if reset:
        changes = {name: now[name] for name in changes}
    for name in reading.gauges:
        if now.get(name) is not None:
            changes[name] = now[name] - ((before or now).get(name) or 0)
    return {**now, **changes, "reset": reset}


def hidden(rows: Iterable[Row]) -> NotVisible | None:
    """That some sessions' rows say no more than that they exist; None when all of them are shown ("visible")."""
    count = sum(1 for row in rows if not row["visible"])
    if not count:
        return None
    why = "the role is no member of pg_read_all_stats"
    what = f"what {count} sessions of other roles do, in which transaction and since when"
    return NotVisible(what, why, "GRANT pg_monitor TO <diagnose role>")


def settings(rows: Rows) -> Mapping[str, str]:
    """The reading "settings" as a mapping."""
    return {row["name"]: row["value"] for row in rows}


def number(row: Row, name: str) -> float:
    """A column as a number; None counts as 0, where "none yet" and 0 mean the same."""
    return float(row.get(name) or 0)


def merged(*parts: Sequence[str]) -> tuple[str, ...]:
    """Names in order, each once."""
    return tuple(dict.fromkeys(name for part in parts for name in part))
