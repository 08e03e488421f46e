"""The disk under the data directory is nearly full; the server stops when it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.classes import archiver_failing, slot_retains_wal
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, Rows, number
from agent.database.sessions import who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction

NAME = "disk_full"
CRITICAL_SHARE = 0.05
GIB = 1024 * 1024 * 1024
MIB = 1024 * 1024
WAL_TIMES = 2.0
"""pg_wal beyond so many times max_wal_size is kept by something."""


def judge(readings: Readings) -> Judgement:
    disk = readings.rows("disk")
    if isinstance(disk, NotVisible):
        return (disk,)
    return tuple(_finding(row, readings) for row in disk if _free_share(row) < readings.limits.disk_free_share)


def _free_share(row: Row) -> float:
    return row["free_bytes"] / row["total_bytes"] if row["total_bytes"] else 1.0


def _finding(row: Row, readings: Readings) -> Finding:
    free = row["free_bytes"]
    filled_by, evidence, advice = _filled_by(readings)
    return Finding(
        incident_class=NAME,
        severity="critical" if _free_share(row) < CRITICAL_SHARE else "warning",
        title=f"{free / GIB:.1f} GiB ({_free_share(row):.0%}) are free under the data directory; {filled_by}",
        evidence=(
            f"{free / GIB:.1f} of {row['total_bytes'] / GIB:.1f} GiB are free under {shown(row['path'], 100)}",
            *evidence,
        ),
        action=_slot_dropped(readings) if filled_by == _BY_SLOT else None,
        advice=f"{advice} Never delete files by hand, and no VACUUM FULL: it needs the table's size once more.",
        ruled_out=_ruled_out(filled_by),
        verification="More than 15 % of the disk are free.",
        rollback="None: a consumer that comes back must be seeded anew." if filled_by == _BY_SLOT else "",
        privilege="as the cause's own finding says",
        diagram="",
        data={"disk": dict(row), "filled_by": filled_by},
    )


_BY_SLOT = "WAL kept for an inactive slot fills it"
_BY_ARCHIVER = "WAL that cannot be archived fills it"
_BY_WAL = "WAL fills it"
_BY_TEMPORARY = "temporary files fill it"
_BY_TABLES = "tables and indexes fill it"


def _filled_by(readings: Readings) -> tuple[str, tuple[str, ...], str]:
    """The cause, its evidence, and what to do; WAL before temporary files before tables, as each ends sooner."""
    wal, temporary = _first(readings, "wal_directory"), _first(readings, "temporary_files")
    known = _rows(readings, "settings")
    limit = slot_retains_wal.max_wal_bytes(known)
    sizes = (
        f"pg_wal holds {number(wal, 'bytes') / GIB:.1f} GiB; max_wal_size is {limit / GIB:.1f} GiB",
        f"Temporary files hold {number(temporary, 'bytes') / GIB:.1f} GiB",
    )
    if any(slot_retains_wal.counts(row, known) for row in _rows(readings, "slots")):
        return _BY_SLOT, sizes, "Revive the slot's consumer, or drop the slot: its WAL goes with the next checkpoint."
    if number(wal, "bytes") > WAL_TIMES * limit:
        if any(archiver_failing.fails(row) for row in _rows(readings, "archiver")):
            return _BY_ARCHIVER, sizes, "Make the archive command work again; the WAL goes when it has been archived."
        return _BY_WAL, sizes, "Find what keeps it: wal_keep_size, a slot, an archiver that is slow."
    if number(temporary, "bytes") > number(wal, "bytes") and number(temporary, "bytes") > MIB:
        return (
            _BY_TEMPORARY,
            (*sizes, *_spilling(readings)),
            "Cancel what writes them, and bound it by temp_file_limit.",
        )
    return _BY_TABLES, sizes, "Add space, or drop and archive what is no longer needed, indexes nobody uses first."


def _spilling(readings: Readings) -> tuple[str, ...]:
    """Who may be writing them: those who have been at work longest. PostgreSQL does not say whose a file is."""
    active = [row for row in _rows(readings, "sessions") if row["state"] == "active"]
    active.sort(key=lambda row: -(row["query_age_s"] or 0.0))
    return tuple(f"{who(row)}, active for {row['query_age_s'] or 0:.0f} s: {shown(row['query'])}" for row in active[:3])


def _slot_dropped(readings: Readings) -> ProposedAction | None:
    known = _rows(readings, "settings")
    kept = [row for row in _rows(readings, "slots") if slot_retains_wal.counts(row, known)]
    return proposed(slot_retains_wal.dropped(kept[0])) if kept else None


def _ruled_out(filled_by: str) -> tuple[str, ...]:
    others = {
        _BY_SLOT: "an inactive slot",
        _BY_ARCHIVER: "a failing archiver",
        _BY_TEMPORARY: "temporary files",
    }
    return tuple(f"Not {words}: none keeps as much" for cause, words in others.items() if cause != filled_by)


def _rows(readings: Readings, name: str) -> Rows:
    found = readings.rows(name)
    return () if isinstance(found, NotVisible) else found


def _first(readings: Readings, name: str) -> Row:
    return next(iter(_rows(readings, name)), {})


CLASS = IncidentClass(
    NAME,
    "the disk under the data directory is nearly full",
    ("disk", "wal_directory", "temporary_files", "slots", "settings", "archiver", "sessions"),
    judge,
)
