"""An index whose pages are mostly air: every scan of it reads more pages than it has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.index_change import CORRUPTING, PRIVILEGE, if_corrupting, megabytes, table_of
from agent.database.readings import Readings, Row, number
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.index_action import ReindexIndexConcurrently

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.reader import TargetReader

NAME = "index_bloat"
TOLD = 5
BLOATED_DENSITY = 0.5
"""Leaf pages less than half full; a fresh btree has 90 % (BTREE_DEFAULT_FILLFACTOR)."""
FRESH_DENSITY = 0.9
READ_AT_MOST_BYTES = 1_000_000_000
"""pgstatindex reads an index from end to end; a larger one is only estimated."""
_TUPLE_BYTES = 8 + 4  # IndexTupleData and its line pointer


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    """Measures the most suspicious ones, where pgstattuple is there."""
    rows = readings.rows("large_indexes")
    if isinstance(rows, NotVisible):
        return readings
    ids = [row["index_id"] for row in _suspects(rows, readings) if row["bytes"] <= READ_AT_MOST_BYTES][:TOLD]
    if not ids:
        return readings
    return readings.with_rows("index_density", reader.asked("index_density", {"index_ids": ids}))


def judge(readings: Readings) -> Judgement:
    rows = readings.rows("large_indexes")
    if isinstance(rows, NotVisible):
        return (rows,)
    suspects = _suspects(rows, readings)
    density = readings.rows("index_density") if suspects else ()
    measured = (
        {}
        if isinstance(density, NotVisible)
        else {row["index_id"]: row["leaf_density"] / 100 for row in density if row["leaf_density"] is not None}
    )
    found: list[Finding | NotVisible] = []
    for row in suspects[:TOLD]:
        share = measured.get(row["index_id"])
        if share is None or share < BLOATED_DENSITY:
            found.append(_finding(row, share, readings))
    hidden = sum(1 for row in rows if row["key_bytes"] is None and row["bytes"] >= readings.limits.bloat_bytes)
    if hidden:
        why = "the statistics of their columns are shown to who may SELECT them; an expression's are not looked at"
        found.append(NotVisible(f"the density of {hidden} large indexes", why, "GRANT SELECT ON <table> TO <role>"))
    return tuple(found)


def estimated_density(row: Row) -> float | None:
    """How full the pages are by rows and key widths; None without statistics, over 1 with shared duplicates."""
    if row["key_bytes"] is None or row["rows"] < 0 or not row["bytes"]:
        return None
    entry_bytes = -(-row["key_bytes"] // 8) * 8 + _TUPLE_BYTES
    return float(float(row["rows"]) * entry_bytes / row["bytes"])


def _suspects(rows: tuple[Row, ...], readings: Readings) -> list[Row]:
    """Half empty by the estimate, the most wasteful first."""
    large = [(row, estimated_density(row)) for row in rows if row["bytes"] >= readings.limits.bloat_bytes]
    thin = [(row, share) for row, share in large if share is not None and share < BLOATED_DENSITY]
    return [row for row, share in sorted(thin, key=lambda pair: -(1 - pair[1]) * pair[0]["bytes"])]


def _finding(row: Row, measured: float | None, readings: Readings) -> Finding:
    share = measured if measured is not None else estimated_density(row) or 0.0
    how = "measured by pgstatindex" if measured is not None else "estimated from rows and key widths, not measured"
    fresh_bytes = row["bytes"] * min(1.0, share / FRESH_DENSITY)
    corrupting = readings.server_version_num in CORRUPTING
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"Index {shown(row['schema'], 63)}.{shown(row['name'], 63)} is {1 - share:.0%} air",
        evidence=(
            f"Its leaf pages are {share:.0%} full ({how}); a fresh one's are {FRESH_DENSITY:.0%}",
            (
                f"It takes {megabytes(row['bytes'])} on {table_of(row)} for {number(row, 'rows'):.0f} entries; rebuilt"
                f" it would take about {megabytes(fresh_bytes)}"
            ),
        ),
        action=None if corrupting else _rebuild(row),
        advice=(
            if_corrupting(readings)
            if corrupting
            else "Free disk space of twice the new size is needed while it runs. Where it comes back soon, rows are"
            " deleted in the order of the key and vacuum comes too seldom."
        ),
        ruled_out=(
            "Not large by its rows: its size is held against the entries it has",
            "Not table bloat: that lies in the table's own pages and is told apart",
        ),
        verification="The index is valid and smaller, and no index ending in _ccnew or _ccold is left.",
        rollback="Not needed: the new index answers the same; what a failed rebuild leaves ends in _ccnew.",
        privilege=f"{PRIVILEGE}; from 17 on MAINTAIN on it",
        diagram="",
        data={**row, "density": share, "measured": measured is not None},
    )


def _rebuild(row: Row) -> ProposedAction | None:
    try:
        return proposed(ReindexIndexConcurrently(row["schema"], row["table"], row["name"]))
    except UnknownAction:
        return None


CLASS = IncidentClass(NAME, "an index has grown far beyond its entries", ("large_indexes",), judge, follow_up)
