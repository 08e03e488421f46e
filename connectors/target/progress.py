"""How far a running fix is, as the server's progress views tell, put on one scale from start to end.

The shares are what each phase took on PostgreSQL 15: of CREATE INDEX CONCURRENTLY on 8 million rows under 400 writes
a second (scan 7.0 s, sort 1.5, load 2.4, validation: index 1.9, sort 3.1, table 1.6 of 17.5), and of VACUUM and ANALYZE
on 3 million rows, a third of them dead, with three indexes. Waiting for other sessions takes as long as those take, so
it has no share of its own and the figure stands still meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database.execution import Progress
from connectors.target.session import Connection, row, rows
from guardrails.index_action import CreatePartitionedIndex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrails.action import Action
    from guardrails.approved import Approved

_BUILD: tuple[tuple[str, float, float], ...] = (
    ("initializing", 0, 0),
    ("waiting for writers before build", 0, 0),
    ("building index: scanning table", 0, 40),
    ("building index: sorting live tuples", 40, 48.5),
    ("building index: loading tuples in tree", 48.5, 62),
    ("building index", 0, 62),  # access methods that tell no more
    ("waiting for writers before validation", 62, 62),
    ("index validation: scanning index", 62, 73),
    ("index validation: sorting tuples", 73, 90.5),
    ("index validation: scanning table", 90.5, 99),
    ("waiting for old snapshots", 99, 99),
    ("waiting for readers before marking dead", 99, 99),
    ("waiting for readers before dropping", 99, 99),
)
"""Phase, where it begins and where it ends, in percent. A longer name comes before the one it begins with."""
_VACUUM: tuple[tuple[str, float, float], ...] = (
    ("initializing", 0, 0),
    ("scanning heap", 0, 52),
    ("vacuuming indexes", 52, 82),
    ("vacuuming heap", 82, 97),
    ("cleaning up indexes", 97, 99),
    ("truncating heap", 99, 99),
    ("performing final cleanup", 99, 99),
)
_ANALYZE: tuple[tuple[str, float, float], ...] = (
    ("initializing", 0, 0),
    ("acquiring sample rows", 0, 75),
    ("computing statistics", 75, 95),
    ("computing extended statistics", 95, 99),
    ("finalizing analyze", 99, 99),
)
NEVER_MORE = 99.0
"""Before the result was read back."""
ANALYZE_PROGRESS = 130000


class Course:
    """The progress of one execution: the same questions again and again, and a figure that never goes back."""

    def __init__(self, approved: Approved[Action]) -> None:
        self._approved = approved
        self._furthest: float | None = None

    def now(self, connection: Connection, pid: int, relid: int) -> Progress | None:
        """What the server reports of the backend, or of a build on the table; None when it reports nothing."""
        seen = (
            _build(connection, pid, relid)
            or _vacuum(connection, pid)
            or _analyze(connection, pid)
            or _only_waiting(connection, pid)
        )
        return None if seen is None else self._whole(connection, seen)

    def _whole(self, connection: Connection, seen: Progress) -> Progress:
        percent = self._of_parts(connection, seen.percent)
        if percent is not None:
            percent = min(max(percent, self._furthest or 0.0), NEVER_MORE)
            self._furthest = percent
        return Progress(
            seen.phase,
            seen.done,
            seen.total,
            seen.unit,
            None if percent is None else round(percent, 1),
            seen.blocked_by,
        )

    def _of_parts(self, connection: Connection, percent: float | None) -> float | None:
        """Of a partitioned table every partition counts the same."""
        action = self._approved.action
        if not isinstance(action, CreatePartitionedIndex):
            return percent
        leaves = list(self._approved.rendered.left_over[1:])
        found = rows(connection, "indexes_by_name", {"schema": action.schema, "names": leaves})
        done = sum(1 for index in found if index["valid"])
        return 100.0 * (done + (percent or 0.0) / 100.0) / len(leaves)


def _build(connection: Connection, pid: int, relid: int) -> Progress | None:
    found = row(connection, "build_progress", {"pid": pid, "relid": relid})
    if found is None:
        return None
    phase = found["phase"] or "hidden"
    done, total, unit = _counted(phase, found)
    blocker = found["current_locker_pid"] or _blocker(connection, found["pid"])
    return Progress(phase, done, total, unit, scaled(_BUILD, phase, done, total), blocker)


def _vacuum(connection: Connection, pid: int) -> Progress | None:
    found = row(connection, "vacuum_progress", {"pid": pid})
    if found is None:
        return None
    phase = found["phase"] or "hidden"
    done = found["vacuumed"] if phase == "vacuuming heap" else found["scanned"]
    total = found["total"] or 0
    return Progress(
        phase, done or 0, total, "blocks", scaled(_VACUUM, phase, done or 0, total), _blocker(connection, pid)
    )


def _analyze(connection: Connection, pid: int) -> Progress | None:
    if connection.info.server_version < ANALYZE_PROGRESS:
        return None
    found = row(connection, "analyze_progress", {"pid": pid})
    if found is None:
        return None
    phase, done, total = found["phase"] or "hidden", found["scanned"] or 0, found["total"] or 0
    return Progress(phase, done, total, "blocks", scaled(_ANALYZE, phase, done, total), _blocker(connection, pid))


def _only_waiting(connection: Connection, pid: int) -> Progress | None:
    blocker = _blocker(connection, pid)
    return Progress("waiting for a lock", 0, 0, "none", None, blocker) if blocker is not None else None


def scaled(phases: tuple[tuple[str, float, float], ...], phase: str, done: int, total: int) -> float | None:
    """Percent of the whole; None for a phase nobody measured. A phase that counts nothing stands at its beginning."""
    for name, begins, ends in phases:
        if phase == name or phase.startswith(f"{name}:"):
            share = min(done, total) / total if total > 0 else 0.0
            return begins + (ends - begins) * share
    return None


def _blocker(connection: Connection, pid: int) -> int | None:
    found = row(connection, "blockers", {"pid": pid})
    return found["pids"][0] if found and found["pids"] else None


def _counted(phase: str, found: Mapping[str, Any]) -> tuple[int, int, Any]:
    """The counters that move in a phase (manual, "CREATE INDEX Progress Reporting"); while it sorts none does."""
    if phase.startswith("waiting"):
        return found["lockers_done"] or 0, found["lockers_total"] or 0, "lockers"
    if "loading tuples" in phase:
        return found["tuples_done"] or 0, found["tuples_total"] or 0, "tuples"
    if "scanning" in phase or phase == "building index":
        return found["blocks_done"] or 0, found["blocks_total"] or 0, "blocks"
    return 0, 0, "none"
