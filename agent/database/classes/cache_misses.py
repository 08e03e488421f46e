"""Statements wait for blocks that are not in shared_buffers: one table or query brings most of the reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import settings
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row, Rows

NAME = "cache_misses"
HIT_SHARE = 0.9
"""pghero calls a cache hit rate below 0.99 low, over all time; over seconds of work a tenth missing is plain."""
READS_PER_S = 1_000.0
"""Blocks of 8 kB: 8 MB/s is a load for a disk; below it misses are a cold cache."""
TABLES_TOLD = 3


def judge(readings: Readings) -> Judgement:
    databases = readings.deltas("databases")
    if isinstance(databases, NotVisible):
        return (databases,)
    return tuple(_finding(row, readings) for row in databases if row["this_one"] and _misses(row, readings.window_s))


def _misses(row: Row, window_s: float) -> bool:
    asked = row["blks_read"] + row["blks_hit"]
    return bool(row["blks_read"] >= READS_PER_S * window_s and row["blks_hit"] < HIT_SHARE * asked)


def _finding(row: Row, readings: Readings) -> Finding:
    tables = _most_read(readings)
    read, rate = row["blks_read"], row["blks_read"] / max(readings.window_s, 0.001)
    share = row["blks_hit"] / max(1, row["blks_read"] + row["blks_hit"])
    first = tables[0] if tables else None
    known = readings.rows("settings")
    buffers = 0 if isinstance(known, NotVisible) else int(settings(known).get("shared_buffers", 0))
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{rate:.0f} blocks a second are read from outside shared_buffers{_by(first, read)}",
        evidence=(
            f"In {readings.window_s:.1f} s {read} blocks were read and {row['blks_hit']} found: {share:.0%} hits",
            *(f"{_name(one)}: {one['blks_read']} blocks, {one['blks_read'] / read:.0%} of them" for one in tables),
            *((f"Waiting for them took {row['read_ms']:.0f} ms (track_io_timing)",) if row["read_ms"] else ()),
            *((f"shared_buffers is {buffers} blocks",) if buffers else ()),
        ),
        action=None,
        advice=(
            "Look at the statement that reads most of it: an index where it scans (the other findings, `stanch"
            " advise`), a vacuum where rows are dead, a cancel where it is a report. A restart empties the cache,"
            " and pg_prewarm of more than fits pushes out what is needed."
        ),
        ruled_out=(
            "Not a cold cache after a restart alone: the reads go on, over the whole window",
            "Not temporary files: those are counted apart",
        ),
        verification="The rate of reads falls, and the hit share is above 90 % again.",
        rollback="",
        privilege="pg_monitor to see",
        diagram="",
        data={"database": dict(row), "tables": [dict(one) for one in tables], "hit_share": share},
    )


def _most_read(readings: Readings) -> Rows:
    tables = readings.deltas("table_blocks")
    if isinstance(tables, NotVisible):
        return ()
    read = [row for row in tables if row["blks_read"] > 0]
    return tuple(sorted(read, key=lambda row: -row["blks_read"])[:TABLES_TOLD])


def _name(row: Row) -> str:
    return f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"


def _by(first: Row | None, read: int) -> str:
    return f", {first['blks_read'] / max(1, read):.0%} of them of {_name(first)}" if first else ""


CLASS = IncidentClass(NAME, "most blocks come from outside the cache", ("databases", "table_blocks", "settings"), judge)
