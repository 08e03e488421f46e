"""An index that a failed build left behind: no query uses it, and when it is ready every write pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import DROP_PRIVILEGE, by_hand, definition, drop, megabytes, table_of
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "invalid_index"
TOLD = 10
_REBUILD_LEFT = ("_ccnew", "_ccold")


def judge(readings: Readings) -> Judgement:
    rows = readings.rows("invalid_indexes")
    if isinstance(rows, NotVisible):
        return (rows,)
    if any(row["hidden_builds"] for row in rows):
        why = "the role is no member of pg_read_all_stats, so an index may be one that is being built"
        return (NotVisible("index builds of other roles", why, "GRANT pg_monitor TO <diagnose role>"),)
    return tuple(_finding(row) for row in rows[:TOLD])


def _finding(row: Row) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['name'], 63)}"
    cost = "every write of the table keeps it up to date" if row["ready"] else "writes do not pay for it yet"
    left = "a REINDEX CONCURRENTLY" if _is_left_by_rebuild(row["name"]) else "a build that failed or was broken off"
    action = drop(row) if not row["unique"] else None
    again = (
        "The rebuild's old index is still there and in use."
        if _is_left_by_rebuild(row["name"])
        else f"Afterwards build it again, under a new name and without IF NOT EXISTS: {definition(row)}"
    )
    if row["unique"]:
        again = (
            f"A unique index fails on duplicates: remove those first. {again} A constraint takes a valid one over in an"
            " instant: ALTER TABLE … ADD CONSTRAINT … UNIQUE USING INDEX."
        )
    return Finding(
        incident_class=NAME,
        severity="warning" if row["ready"] else "notice",
        title=f"Index {name} is invalid and used by no query; {cost}",
        evidence=(
            f"{name} on {table_of(row)} ({megabytes(row['bytes'])}) is not valid; ready for writes: {row['ready']}",
            f"It was left by {left}",
        ),
        action=action,
        advice=again if action else f"{by_hand(row)}. {again}",
        ruled_out=("Not a build under way: pg_stat_progress_create_index has no row for it",),
        verification="The index is gone: pg_index has no row of its name.",
        rollback="It served no query, so there is nothing to bring back; its definition is in the evidence.",
        privilege=DROP_PRIVILEGE,
        diagram="",
        data=dict(row),
    )


def _is_left_by_rebuild(name: str) -> bool:
    return name.rstrip("0123456789").endswith(_REBUILD_LEFT)


CLASS = IncidentClass(NAME, "an index is invalid, left by a failed build", ("invalid_indexes",), judge)
