"""An index that no query has used for long, while every write keeps it up to date."""

from __future__ import annotations

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import DROP_PRIVILEGE, by_hand, definition, drop, megabytes, table_of
from agent.database.readings import Readings, Row, number
from agent.database.snapshot import NotVisible
from agent.database.text import shown

NAME = "unused_index"
TOLD = 5
_DAY_S = 86_400.0


def judge(readings: Readings) -> Judgement:
    rows, work = readings.rows("unused_indexes"), readings.rows("database_work")
    if isinstance(rows, NotVisible):
        return (rows,)
    if isinstance(work, NotVisible):
        return (work,)
    if not rows or not work:
        return ()
    counted_s = number(work[0], "counted_s")
    if counted_s < readings.limits.index_unused_s:
        why = f"scans are counted for {counted_s / _DAY_S:.1f} days only; a monthly job may need an index"
        return (NotVisible("which indexes are unused", why),)
    standbys = int(number(work[0], "standbys"))
    found = tuple(_finding(row, counted_s, standbys, in_recovery=readings.in_recovery) for row in rows[:TOLD])
    if not standbys:
        return found
    return (*found, NotVisible(f"scans of indexes on {standbys} standbys", "each server counts its own; ask each"))


def _finding(row: Row, counted_s: float, standbys: int, *, in_recovery: bool) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['name'], 63)}"
    elsewhere = bool(standbys) or in_recovery
    action = None if elsewhere else drop(row)
    ask = "First ask every other server: SELECT idx_scan FROM pg_stat_user_indexes there has to be 0 too. "
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"Index {name} has not been used for {counted_s / _DAY_S:.0f} days",
        evidence=(
            (
                f"idx_scan is 0 since the counters began {counted_s / _DAY_S:.1f} days ago; it takes"
                f" {megabytes(row['bytes'])} on {table_of(row)}, and every write pays for it"
            ),
            f"Its definition, to keep: {definition(row)}",
        ),
        action=action,
        advice=(ask if elsewhere else "") + ("" if action else by_hand(row)),
        ruled_out=(
            "Not one that keeps something true: neither unique, nor of a constraint, nor a replica identity",
            "Not what a foreign key looks its rows up by: it does not begin with a foreign key's columns",
            "Not a part of a partitioned index",
        ),
        verification="Writes of the table take no longer, and no statement becomes slower within a day.",
        rollback="Build it again, concurrently, from the kept definition.",
        privilege=DROP_PRIVILEGE,
        diagram="",
        data={**row, "counted_s": counted_s, "standbys": standbys},
    )


CLASS = IncidentClass(
    NAME, "an index is used by no query and paid for by every write", ("unused_indexes", "database_work"), judge
)
