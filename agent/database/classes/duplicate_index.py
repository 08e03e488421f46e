"""An index that another one makes superfluous: the same keys, or the beginning of the other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import DROP_PRIVILEGE, by_hand, definition, drop, megabytes, table_of
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "duplicate_index"
TOLD = 10


def judge(readings: Readings) -> Judgement:
    rows = readings.rows("duplicate_indexes")
    if isinstance(rows, NotVisible):
        return (rows,)
    ordered = sorted(rows, key=lambda row: (not row["equal"], -row["bytes"]))
    return tuple(_finding(row) for row in ordered[:TOLD])


def _finding(row: Row) -> Finding:
    name, kept = shown(row["name"], 63), shown(row["kept"], 63)
    how = "has the same keys as" if row["equal"] else "has keys that are only the beginning of those of"
    action = drop(row)
    advice = "" if action else by_hand(row)
    if not row["equal"]:
        advice += (
            " The larger index answers the same questions with a few more pages read; keep the smaller one where it is"
            " read far more often than the table is written."
        )
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"Index {row['schema']}.{name} {how} {kept}",
        evidence=(
            f"{definition(row)} ({megabytes(row['bytes'])} on {table_of(row)})",
            f"{kept} stays: {definition(row, 'kept_definition')}",
        ),
        action=action,
        advice=advice.strip(),
        ruled_out=(
            "Not one that keeps something true: neither unique, nor of a constraint, nor a replica identity",
            "Not different in kind: method, operator classes, collations, order, expressions and condition are equal",
        ),
        verification="The plans that used it use the other one, and cost no more.",
        rollback="Build it again, concurrently, from the kept definition.",
        privilege=DROP_PRIVILEGE,
        diagram="",
        data=dict(row),
    )


CLASS = IncidentClass(NAME, "an index repeats another one's keys", ("duplicate_indexes",), judge)
