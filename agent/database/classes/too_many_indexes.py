"""A table that is written hot and has so many indexes that each write is mostly index maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import DROP_PRIVILEGE, by_hand, drop, megabytes, table_of
from agent.database.readings import number
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "too_many_indexes"
MANY = 8
"""Each index is a descent and a page write more for a row; so many cost several times the row's own write."""
HOT_SHARE = 0.5
"""Of all writes in the window."""
TOLD = 3


def judge(readings: Readings) -> Judgement:
    tables, unused = readings.deltas("tables"), readings.rows("unused_indexes")
    if isinstance(tables, NotVisible):
        return (tables,)
    total = sum(indexed_writes(row) for row in tables)
    least = readings.limits.surge_rows_per_s * readings.window_s
    hot = [
        row
        for row in tables
        if row["indexes"] >= MANY and indexed_writes(row) >= max(least, HOT_SHARE * total) and indexed_writes(row)
    ]
    spare = () if isinstance(unused, NotVisible) else unused
    found = [_finding(row, [one for one in spare if one["relid"] == row["relid"]], readings) for row in hot[:TOLD]]
    return (*found, unused) if isinstance(unused, NotVisible) and found else tuple(found)


def indexed_writes(row: Row) -> int:
    """Rows whose write goes to every index: heap-only updates and deletes do not."""
    return int(row["inserted"] + row["updated"] - row["hot_updated"])


def _finding(row: Row, spare: list[Row], readings: Readings) -> Finding:
    writes = indexed_writes(row) / readings.window_s
    least_used = spare[0] if spare else None
    standbys, counted_s = _seen_elsewhere(readings)
    sure = not standbys and not readings.in_recovery and counted_s >= readings.limits.index_unused_s
    names = ", ".join(shown(one["name"], 63) for one in spare[:5]) or "none"
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{table_of(row)} is written {writes:.0f} times a second through {row['indexes']} indexes",
        evidence=(
            (
                f"{row['inserted']} inserts and {row['updated']} updates ({row['hot_updated']} heap-only) in"
                f" {readings.window_s:.1f} s; each of the rest writes {row['indexes']} indexes"
            ),
            f"The indexes take {megabytes(row['index_bytes'])}, the table {megabytes(row['bytes'])}",
            f"Not used by any scan in the {counted_s / 86_400:.1f} days that are counted: {names}",
        ),
        action=drop(least_used) if least_used is not None and sure else None,
        advice=(
            "Look at each: what serves no query goes first, then what another index's beginning serves as well."
            + (f" Ask the {standbys} standbys too: each counts its own scans." if standbys else "")
            + (f" Once that is sure: {by_hand(least_used)}" if least_used is not None and not sure else "")
        ),
        ruled_out=(
            "Not merely a surge of writes: with that many indexes each of them costs several",
            "Not HOT loss: the number of indexes is what costs here, not one of them on a written column",
        ),
        verification="Writes of the table take less time; wal_bytes for each of them falls.",
        rollback="Build the index again, concurrently, from its definition.",
        privilege=DROP_PRIVILEGE,
        diagram="",
        data={"table": dict(row), "unused": [dict(one) for one in spare], "writes_per_s": writes},
    )


def _seen_elsewhere(readings: Readings) -> tuple[int, float]:
    work = readings.rows("database_work")
    if isinstance(work, NotVisible) or not work:
        return 0, 0.0
    return int(number(work[0], "standbys")), number(work[0], "counted_s")


CLASS = IncidentClass(NAME, "a hot table has too many indexes", ("tables", "unused_indexes", "database_work"), judge)
