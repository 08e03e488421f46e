"""A replication slot whose consumer is away, and the WAL that is kept for it until the disk is full."""

from __future__ import annotations

from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, Rows, settings
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.server_action import DropReplicationSlot

NAME = "slot_retains_wal"
MIB = 1024 * 1024
DEFAULT_MAX_WAL_MIB = 1024
CRITICAL_TIMES = 10.0
"""So many times max_wal_size kept for a consumer that is away: no disk is planned for that."""


def judge(readings: Readings) -> Judgement:
    slots, known, changes = readings.rows("slots"), readings.rows("settings"), readings.deltas("slots")
    if isinstance(slots, NotVisible):
        return (slots,)
    shown_settings = () if isinstance(known, NotVisible) else known
    grown = {} if isinstance(changes, NotVisible) else {row["slot"]: row["retained_bytes"] for row in changes}
    return tuple(
        _finding(row, max_wal_bytes(shown_settings), grown.get(row["slot"]), readings.window_s)
        for row in slots
        if counts(row, shown_settings)
    )


def counts(row: Row, known: Rows) -> bool:
    """Whether an inactive slot keeps more WAL than checkpoints would leave anyway, or has already lost its place."""
    if row["active"] or row["temporary"]:
        return False
    return bool(row["wal_status"] == "lost" or (row["retained_bytes"] or 0) >= max_wal_bytes(known))


def max_wal_bytes(known: Rows) -> int:
    return int(settings(known).get("max_wal_size", DEFAULT_MAX_WAL_MIB)) * MIB


def dropped(row: Row) -> DropReplicationSlot:
    return DropReplicationSlot(row["slot"])


def _finding(row: Row, max_wal: int, grown: int | None, window_s: float) -> Finding:
    kept, lost = row["retained_bytes"] or 0, row["wal_status"] == "lost"
    evidence = [f"Slot {row['slot']} ({row['type']}{_of(row)}) is inactive; its WAL status is {row['wal_status']}"]
    if not lost:
        evidence.append(f"It keeps {kept / MIB:.0f} MiB of WAL; max_wal_size is {max_wal / MIB:.0f} MiB")
    if grown and grown > 0 and window_s > 0:
        evidence.append(f"That grew by {grown / MIB:.1f} MiB in {window_s:.1f} s")
    if row["safe_bytes"] is not None:
        evidence.append(f"{max(0, row['safe_bytes']) / MIB:.0f} MiB more and max_slot_wal_keep_size takes its WAL away")
    title = f"Slot {row['slot']} is inactive and keeps {kept / MIB:.0f} MiB of WAL"
    return Finding(
        incident_class=NAME,
        severity="notice" if lost else "critical" if kept >= CRITICAL_TIMES * max_wal else "warning",
        title=f"Slot {row['slot']} has lost the WAL its consumer needs" if lost else title,
        evidence=tuple(evidence),
        action=proposed(dropped(row)),
        advice=(
            "Bring the consumer back where it exists: it catches up and the WAL goes by itself. Drop the slot only when"
            " nobody will come back for it. max_slot_wal_keep_size (13 and later, reload) bounds what any slot keeps."
            " Never delete files in pg_wal."
        ),
        ruled_out=(
            "Not a failing archiver: what is kept begins at this slot's restart_lsn",
            "Not replication lag: nobody is connected to the slot",
        ),
        verification="The slot is gone or active, and pg_wal shrinks after the next checkpoint.",
        rollback="None: a consumer that comes back must be seeded anew.",
        privilege="a superuser, or a role with REPLICATION",
        diagram="",
        data={"slot": dict(row), "max_wal_bytes": max_wal, "grown_bytes": grown},
    )


def _of(row: Row) -> str:
    return f" of database {shown(row['database'], 63)}" if row["database"] else ""


CLASS = IncidentClass(NAME, "an inactive replication slot keeps WAL", ("slots", "settings"), judge)
