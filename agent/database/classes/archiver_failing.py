"""WAL is not archived any more: no backup reaches past this point, and the segments pile up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "archiver_failing"
CRITICAL_S = 900.0
"""A quarter of an hour without archiving is a quarter of an hour that a restore would lose."""
MIB = 1024 * 1024


def judge(readings: Readings) -> Judgement:
    archiver = readings.rows("archiver")
    if isinstance(archiver, NotVisible):
        return (archiver,)
    return tuple(_finding(row, readings) for row in archiver if fails(row))


def fails(row: Row) -> bool:
    """Whether the last word is a failure: it came later than the last success."""
    failed, archived = row["last_failed_age_s"], row["last_archived_age_s"]
    return failed is not None and (archived is None or failed < archived)


def _finding(row: Row, readings: Readings) -> Finding:
    archived_s = row["last_archived_age_s"]
    since = "nothing was ever archived" if archived_s is None else f"the last success was {archived_s:.0f} s ago"
    changes = readings.deltas("archiver")
    more = 0 if isinstance(changes, NotVisible) or not changes else changes[0]["failed_count"]
    directory = readings.rows("wal_directory")
    evidence = [
        f"{row['failed_count']} failures, {more} of them in {readings.window_s:.1f} s; {since}",
        f"The last to fail was {row['last_failed_wal']}, {row['last_failed_age_s']:.0f} s ago",
    ]
    if not isinstance(directory, NotVisible) and directory:
        evidence.append(f"pg_wal holds {directory[0]['files']} files, {directory[0]['bytes'] / MIB:.0f} MiB")
    return Finding(
        incident_class=NAME,
        severity="critical" if archived_s is None or archived_s >= CRITICAL_S else "warning",
        title=f"WAL is not archived: {row['last_failed_wal']} fails, and {since}",
        evidence=tuple(evidence),
        action=None,
        advice=(
            "The server's log has the archive command's own error: mostly a full or unreachable target, or expired"
            " credentials. Cure that; the archiver tries again by itself, a changed archive_command needs a reload."
            " Never set it to true or delete files in pg_wal: the archive would have a hole, and no restore gets"
            " past it."
        ),
        ruled_out=(
            "Not a slow archiver: its last attempt failed",
            "Not a slot that retains WAL: the archiver itself reports the failure",
        ),
        verification="failed_count stays where it is, and last_archived_time moves.",
        rollback="",
        privilege="access to the server's log; a superuser to change archive_command",
        diagram="",
        data={"archiver": dict(row), "failed_in_window": more},
    )


CLASS = IncidentClass(NAME, "WAL is not archived any more", ("archiver", "wal_directory"), judge)
