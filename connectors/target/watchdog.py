"""Watches what a running fix does to others, and says when it must end.

Nothing is written to the target for it. Write latency is the mean time of the statements that write WAL, from two looks
at pg_stat_statements; a write that hangs is in no such count before it ends, so those that wait behind the fix for a
lock are looked at too, through everybody in between: an ALTER TABLE that queues behind a build stops all traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.target.session import Connection, row

if TYPE_CHECKING:
    from agent.database.execution import Bounds

SUSTAINED = 3
"""So many looks in a row have to break a bound: one slow checkpoint is no reason to throw a build away."""
ENOUGH_WRITES = 5
"""Between two looks; a mean of fewer says nothing."""
WAL_COUNTED = 130000
"""From here on pg_stat_statements counts a statement's WAL."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """writes and write_ms are cumulative, None when not visible. blocked_s: the longest wait behind the fix."""

    writes: int | None
    write_ms: float | None
    replication_lag_s: float | None
    blocked_s: float | None


def vitals(connection: Connection, pid: int, extension_schema: str | None) -> Vitals:
    """One look; pid is the backend of the fix, 0 before there is one. Raises what psycopg raises."""
    found = row(connection, "vitals", {"pid": pid}) or {}
    written = None
    if extension_schema is not None:
        written = row(connection, "write_counters", extension_schema=extension_schema)
    return Vitals(
        writes=written["calls"] if written else None,
        write_ms=written["exec_ms"] if written else None,
        replication_lag_s=found.get("replication_lag_s"),
        blocked_s=found.get("blocked_s"),
    )


def statements_schema(connection: Connection) -> str | None:
    """Where pg_stat_statements is; None without it, or where it cannot count WAL."""
    if connection.info.server_version < WAL_COUNTED:
        return None
    found = row(connection, "extension", {"extension": "pg_stat_statements"})
    return None if found is None or found["version"] < [1, 8] else str(found["schema"])


class Watchdog:
    """Takes looks at the vitals in turn; before is the look just before the fix began."""

    def __init__(self, bounds: Bounds, before: Vitals) -> None:
        self._bounds = bounds
        self._before = before
        self._last = before
        self._slow_looks = 0
        self._far_looks = 0

    def objection(self, now: Vitals) -> str | None:
        """Why the fix must end; None while it may go on."""
        return self._blocked(now) or self._slow(now) or self._far(now)

    def _blocked(self, now: Vitals) -> str | None:
        if now.blocked_s is None or now.blocked_s <= self._bounds.blocked_s:
            return None
        bound_s = self._bounds.blocked_s
        return f"ordinary traffic waited {now.blocked_s:.0f} s behind it for a lock, and {bound_s} s is the bound"

    def _slow(self, now: Vitals) -> str | None:
        latency_ms = mean_ms(self._last, now)
        self._last = now
        if latency_ms is None:
            return None
        usual_ms = _overall_ms(self._before) or 0.0
        bound_ms = max(float(self._bounds.write_latency_ms), self._bounds.write_latency_times * usual_ms)
        self._slow_looks = self._slow_looks + 1 if latency_ms > bound_ms else 0
        if self._slow_looks < SUSTAINED:
            return None
        return f"writes took {latency_ms:.0f} ms in the mean, {usual_ms:.1f} ms before; {bound_ms:.0f} ms is the bound"

    def _far(self, now: Vitals) -> str | None:
        lag_s = now.replication_lag_s
        bound_s = max(float(self._bounds.replication_lag_s), 2 * (self._before.replication_lag_s or 0.0))
        self._far_looks = self._far_looks + 1 if lag_s is not None and lag_s > bound_s else 0
        if lag_s is None or self._far_looks < SUSTAINED:
            return None
        return f"a standby is {lag_s:.0f} s behind, and {bound_s:.0f} s is the bound"


def mean_ms(before: Vitals, now: Vitals) -> float | None:
    """Of the writes between two looks; None when there were too few, they are not visible, or were reset between."""
    if before.writes is None or now.writes is None or before.write_ms is None or now.write_ms is None:
        return None
    writes, spent_ms = now.writes - before.writes, now.write_ms - before.write_ms
    return spent_ms / writes if writes >= ENOUGH_WRITES and spent_ms >= 0 else None


def _overall_ms(seen: Vitals) -> float | None:
    """Since the counters were last reset."""
    return None if not seen.writes or seen.write_ms is None else seen.write_ms / seen.writes
