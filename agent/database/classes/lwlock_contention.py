"""Sessions wait for the server's own internal locks: more processors or connections would make it worse."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible

if TYPE_CHECKING:
    from agent.database.readings import Readings, Rows

NAME = "lwlock_contention"
SHARE = 0.3
"""Of all looks at active sessions; below it these locks are how a busy server looks."""
LEAST_WAITS = 20
"""Looks that found such a wait; fewer are chance."""

_REMEDIES = {
    "LockManager": (
        "the shared lock table: statements that touch more than 16 relations and indexes leave the fast path",
        "Prune partitions at plan time, drop unused indexes, prepare statements; cap concurrency at the pooler.",
    ),
    "BufferMapping": (
        "the buffer table: pages come and go faster than it can be changed",
        "Find the scan that reads most (see cache_misses), give it an index; a larger shared_buffers needs a restart.",
    ),
    "SubtransSLRU": (
        "subtransactions: more than 64 in one transaction overflow into pg_subtrans",
        "Find the savepoints (ORMs, EXCEPTION blocks in loops) and the long transaction they meet; end that one.",
    ),
    "MultiXact": (
        "rows locked by several transactions at once (FOR SHARE, foreign keys)",
        "Fewer concurrent locks of one parent row; shorter transactions.",
    ),
    "WALWrite": (
        "writing WAL: many small commits",
        "Commit in batches; commit_delay; a faster disk for pg_wal.",
    ),
    "ProcArray": (
        "snapshots: too many connections take them",
        "Fewer connections through a pooler in transaction mode.",
    ),
}
"""By how the event's name begins; names lost the suffix Lock in 13."""


def judge(readings: Readings) -> Judgement:
    samples = readings.rows("wait_events")
    if isinstance(samples, NotVisible):
        return (samples,)
    waits = Counter[str]()
    for row in samples:
        if row["wait_event_type"] in {"LWLock", "LWLockNamed", "LWLockTranche"}:
            waits[_family(row["wait_event"])] += row["sessions"]
    looked = sum(row["sessions"] for row in samples)
    if not waits:
        return ()
    family, count = waits.most_common(1)[0]
    if count < LEAST_WAITS or count < SHARE * looked or family not in _REMEDIES:
        return ()
    return (_finding(family, count, looked, samples),)


def _family(event: str) -> str:
    return next((family for family in _REMEDIES if event.lower().replace("_", "").startswith(family.lower())), event)


def _finding(family: str, count: int, looked: int, samples: Rows) -> Finding:
    meaning, cure = _REMEDIES[family]
    looks = 1 + max(row.get("sample", 0) for row in samples)
    events = Counter[str]()
    for row in samples:
        events[f"{row['wait_event_type']}:{row['wait_event']}"] += row["sessions"]
    most = ", ".join(f"{name} {seen}" for name, seen in events.most_common(6))
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{count / looked:.0%} of active sessions wait for {family}",
        evidence=(
            f"In {looks} looks at active sessions {count} of {looked} waited for {family}: {meaning}",
            f"What was waited for: {most}",
        ),
        action=None,
        advice=f"{cure} A restart only hides it until the load is back.",
        ruled_out=("Not row or table locks: those are waited for as Lock, and have a blocker to end",),
        verification=f"The share of {family} among the wait events falls below {SHARE:.0%}.",
        rollback="",
        privilege="pg_monitor to see",
        diagram="",
        data={"family": family, "waits": count, "looked": looked, "events": dict(events)},
    )


CLASS = IncidentClass(NAME, "sessions wait for the server's internal locks", ("wait_events",), judge)
