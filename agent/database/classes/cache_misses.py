"""Statements wait for blocks that are not in shared_buffers; mostly one of them brings most of the reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database import statements
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
STATEMENTS_TOLD = 3


def judge(readings: Readings) -> Judgement:
    databases = readings.deltas("databases")
    if isinstance(databases, NotVisible):
        return (databases,)
    return tuple(_finding(row, readings) for row in databases if row["this_one"] and _misses(row, readings.window_s))


def _misses(row: Row, window_s: float) -> bool:
    asked = row["blks_read"] + row["blks_hit"]
    return bool(row["blks_read"] >= READS_PER_S * window_s and row["blks_hit"] < HIT_SHARE * asked)


def _finding(row: Row, readings: Readings) -> Finding:
    readers = _readers(readings)
    read, rate = row["blks_read"], row["blks_read"] / max(readings.window_s, 0.001)
    share = row["blks_hit"] / max(1, row["blks_read"] + row["blks_hit"])
    known = readings.rows("settings")
    buffers = 0 if isinstance(known, NotVisible) else int(settings(known).get("shared_buffers", 0))
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{rate:.0f} blocks a second are read from outside shared_buffers",
        evidence=(
            f"In {readings.window_s:.1f} s {read} blocks were read and {row['blks_hit']} found: {share:.0%} hits",
            *(
                f"{one['shared_blks_read'] / read:.0%} of them by one statement of {shown(one['user'], 63)}:"
                f" {_text(one, readings)}"
                for one in readers
            ),
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
        data={"database": dict(row), "statements": [dict(one) for one in readers], "hit_share": share},
    )


def _readers(readings: Readings) -> Rows:
    """The statements that read most blocks in the window."""
    ran = readings.deltas("statements")
    if isinstance(ran, NotVisible):
        return ()
    read = [row for row in ran if row["calls"] > 0 and row["shared_blks_read"] > 0]
    return tuple(sorted(read, key=lambda row: -row["shared_blks_read"])[:STATEMENTS_TOLD])


def _text(ran: Row, readings: Readings) -> str:
    texts = readings.rows("statement_texts")
    for row in () if isinstance(texts, NotVisible) else texts:
        if (row["userid"], row["queryid"]) == (ran["userid"], ran["queryid"]):
            return shown(row["query"], 100)
    return f"queryid {ran['queryid']}"


CLASS = IncidentClass(
    NAME,
    "most blocks come from outside the cache",
    ("databases", "statements", "settings"),
    judge,
    statements.with_texts,
)
