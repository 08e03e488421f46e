"""Deletes in a parent table that read a whole child table each, since no index leads with the foreign key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import PRIVILEGE, build, if_corrupting, megabytes, table_of
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "foreign_key_without_index"
TOLD = 5
READ_PER_SCAN = 0.5
"""Of the child's rows: a check that reads half of them or more reads for want of an index."""


def judge(readings: Readings) -> Judgement:
    keys, tables = readings.rows("foreign_keys_without_index"), readings.deltas("tables")
    if isinstance(keys, NotVisible):
        return (keys,)
    if isinstance(tables, NotVisible):
        return (tables,)
    by_id = {row["relid"]: row for row in tables}
    found = [
        _finding(key, by_id[key["relid"]], by_id[key["parent_relid"]], readings) for key in keys if _hurts(key, by_id)
    ]
    return tuple(found[:TOLD])


def _hurts(key: Row, tables: dict[int, Row]) -> bool:
    """The parent lost rows in the window, and the child was read in full about as often, or more."""
    child, parent = tables.get(key["relid"]), tables.get(key["parent_relid"])
    if child is None or parent is None or not parent["deleted"] or not child["seq_scan"]:
        return False
    per_scan = child["seq_tup_read"] / child["seq_scan"]
    return bool(per_scan >= READ_PER_SCAN * max(1.0, key["rows"]) and child["seq_scan"] >= parent["deleted"] / 2)


def _finding(key: Row, child: Row, parent: Row, readings: Readings) -> Finding:
    name, above = table_of(key), f"{key['parent_schema']}.{key['parent']}"
    columns = ", ".join(shown(column, 63) for column in key["columns"])
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"Each delete in {shown(above, 63)} reads all of {name}: no index on ({columns})",
        evidence=(
            (
                f"Foreign key {shown(key['name'], 63)} of {name} ({columns}) leads no index; the table has"
                f" {key['rows']:.0f} rows, {megabytes(key['bytes'])}"
            ),
            (
                f"In the window {parent['deleted']} rows were deleted from {shown(above, 63)}, and the child was read"
                f" in full {child['seq_scan']} times, {child['seq_tup_read']} rows"
            ),
        ),
        action=build(readings, key["schema"], key["table"], key["columns"]),
        advice=if_corrupting(readings)
        + "Until it is built, delete fewer parent rows at a time. Never drop the foreign key instead.",
        ruled_out=(
            "Not a query of the application's that wants an index: the reading is the foreign key's own check",
            "Not a lock: the deletes run, and take the time of the reading",
        ),
        verification="The child's seq_scan stands still while parents are deleted; the index is valid.",
        rollback="DROP INDEX CONCURRENTLY.",
        privilege=f"{PRIVILEGE}, and CREATE on its schema",
        diagram="",
        data={"foreign_key": dict(key), "child": dict(child), "parent": dict(parent)},
    )


CLASS = IncidentClass(
    NAME,
    "deletes in a parent table read the whole child table",
    ("foreign_keys_without_index", "tables"),
    judge,
)
