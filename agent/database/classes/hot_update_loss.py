"""Updates that stopped being heap-only: a new index covers a column they write, and each now writes every index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database import statements
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import DROP_PRIVILEGE, by_hand, definition, drop, table_of
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from agent.database.written_columns import written

if TYPE_CHECKING:
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row

NAME = "hot_update_loss"
LEAST_UPDATES = 100
"""In the window; a share of fewer says little."""
LEAST_EARLIER = 1_000
GOOD_SHARE = 0.5
"""Heap-only updates before: a table that never had them lost nothing."""
FALLEN_TO = 0.5
"""Of the earlier share."""
TOLD = 3
_SUMMARISING_FROM = 160_000
"""From 16 on a brin index does not keep an update from being heap-only."""


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    fallen = _fallen(readings)
    if isinstance(fallen, NotVisible) or not fallen:
        return readings
    readings = statements.with_texts(readings, reader)
    relids = [now["relid"] for now, _ in fallen]
    return readings.with_rows("table_indexes", reader.asked("table_indexes", {"relids": relids}))


def judge(readings: Readings) -> Judgement:
    fallen = _fallen(readings)
    if isinstance(fallen, NotVisible):
        return (fallen,)
    if not fallen:
        return ()
    indexes, ran = readings.rows("table_indexes"), statements.ran(readings)
    if isinstance(indexes, NotVisible):
        return (indexes,)
    if isinstance(ran, NotVisible):
        return (ran,)
    found: list[Finding] = []
    for table, earlier in fallen:
        columns = {column for one in ran for column in written(one.query, table["table"])}
        guilty = _guilty(table, indexes, columns, readings)
        if guilty is not None:
            found.append(_finding(table, earlier, guilty, columns))
    return (*found[:TOLD], *statements.unseen(readings))


def _fallen(readings: Readings) -> list[tuple[Row, float]] | NotVisible:
    """Tables whose share of heap-only updates fell by half in the window, with the share before it."""
    deltas, before = readings.deltas("tables"), readings.before.get("tables", ())
    if isinstance(deltas, NotVisible):
        return deltas
    if isinstance(before, NotVisible):
        return before
    start = {row["relid"]: row for row in before}
    found: list[tuple[Row, float]] = []
    for row in deltas:
        was = start.get(row["relid"])
        if was is None or row["reset"] or row["updated"] < LEAST_UPDATES or was["updated"] < LEAST_EARLIER:
            continue
        earlier = was["hot_updated"] / was["updated"]
        if earlier >= GOOD_SHARE and row["hot_updated"] / row["updated"] <= FALLEN_TO * earlier:
            found.append((row, earlier))
    return sorted(found, key=lambda pair: -pair[0]["updated"])


def _guilty(table: Row, indexes: tuple[Row, ...], columns: set[str], readings: Readings) -> Row | None:
    """The youngest index that a written column is in, key or condition; None when it is not the fault of an index."""
    own = [row for row in indexes if row["relid"] == table["relid"] and set(row["depends_on"]) & columns]
    if readings.server_version_num >= _SUMMARISING_FROM:
        own = [row for row in own if row["method"] != "brin"]
    return max(own, key=lambda row: int(row["index_id"]), default=None)


def _finding(table: Row, earlier: float, guilty: Row, columns: set[str]) -> Finding:
    share = table["hot_updated"] / table["updated"]
    name = f"{shown(guilty['schema'], 63)}.{shown(guilty['name'], 63)}"
    both = ", ".join(shown(column, 63) for column in sorted(set(guilty["depends_on"]) & columns))
    used = guilty["idx_scan"]
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"Updates of {table_of(table)} stopped being heap-only: index {name} covers what they write",
        evidence=(
            f"{share:.0%} of {table['updated']} updates in the window were heap-only, {earlier:.0%} of all before",
            f"They write {both}, which the table's youngest such index depends on: {definition(guilty)}",
            f"That index has been used by {used} scans",
        ),
        action=None if guilty["keeps"] else drop(guilty),
        advice=(
            ("It keeps something true and cannot simply go. " if guilty["keeps"] else "")
            + (f"It is in use ({used} scans): weigh what reads would lose before it goes. " if used else "")
            + ("" if guilty["keeps"] or guilty["plain"] else by_hand(guilty) + " ")
            + "Where it has to stay, room on each page helps the rest of the updates: ALTER TABLE … SET (fillfactor ="
            " 80) for new pages."
        ),
        ruled_out=(
            "Not pages without room: that comes slowly, and an index on the written column explains it",
            "Not a surge of updates: their kind changed, whatever their number",
        ),
        verification="n_tup_hot_upd grows with n_tup_upd again, at the earlier share.",
        rollback="Build the index again, concurrently, from its definition.",
        privilege=DROP_PRIVILEGE,
        diagram="",
        data={"table": dict(table), "earlier_share": earlier, "share": share, "index": dict(guilty)},
    )


CLASS = IncidentClass(
    NAME, "a new index keeps updates from being heap-only", ("tables", "statements"), judge, follow_up
)
