"""Checkpoints come because WAL is full, not because time is up: each writes everything out and makes WAL larger."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import settings
from agent.database.snapshot import NotVisible
from guardrails.server_action import AlterSystemReload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.readings import Readings, Row

NAME = "checkpoint_storm"
TOO_OFTEN_S = 30.0
"""checkpoint_warning's default: PostgreSQL itself logs that checkpoints occur too frequently below it."""
AT_LEAST = 2
BY_WAL_SHARE = 0.25
"""Of max_wal_size written for each checkpoint, at least: with less, somebody asks for them by hand or for a backup."""
MIB = 1024 * 1024
_MIB_PER_GIB = 1024
LARGEST_GIB = 64
"""No larger is proposed without a person's calculation: crash recovery replays it all."""
DEFAULT_MAX_WAL_MIB = 1024
DEFAULT_TIMEOUT_S = 300


def judge(readings: Readings) -> Judgement:
    checkpoints, known = readings.deltas("checkpoints"), readings.rows("settings")
    if isinstance(checkpoints, NotVisible):
        return () if readings.in_recovery else (checkpoints,)
    values = {} if isinstance(known, NotVisible) else settings(known)
    return tuple(_finding(row, values, readings) for row in checkpoints if _storms(row, values, readings))


def _storms(row: Row, values: Mapping[str, str], readings: Readings) -> bool:
    requested = row["requested"]
    often = requested >= AT_LEAST and readings.window_s / requested < TOO_OFTEN_S
    full = row["wal_bytes"] / max(1, requested) >= BY_WAL_SHARE * _max_wal_mib(values) * MIB
    return bool(often and requested > row["timed"] and full)


def _max_wal_mib(values: Mapping[str, str]) -> int:
    return int(values.get("max_wal_size", DEFAULT_MAX_WAL_MIB))


def _finding(row: Row, values: Mapping[str, str], readings: Readings) -> Finding:
    rate = row["wal_bytes"] / max(readings.window_s, 0.001)
    now_mib, wanted = _max_wal_mib(values), _wanted(rate, values)
    raised = _mib(wanted) > now_mib
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{row['requested']} checkpoints in {readings.window_s:.1f} s because max_wal_size is full",
        evidence=(
            (
                f"{row['requested']} requested and {row['timed']} timed checkpoints in {readings.window_s:.1f} s wrote"
                f" {row['buffers']} buffers"
            ),
            f"WAL is written at {rate / MIB:.1f} MiB/s; max_wal_size is {now_mib} MiB",
        ),
        action=proposed(AlterSystemReload("max_wal_size", wanted, f"{now_mib}MB")) if raised else None,
        advice=(
            f"max_wal_size = {wanted} holds what is written between two timed checkpoints at this rate; pg_wal may"
            " grow to it, and a crash recovery may have to replay it. Look for what writes so much, too; no"
            " CHECKPOINT by hand, and never fsync = off."
        ),
        ruled_out=(
            (
                f"Not checkpoints asked for by hand or by a backup: {row['wal_bytes'] / MIB:.0f} MiB of WAL were"
                " written between them"
            ),
        ),
        verification="Fewer than one in ten checkpoints is a requested one.",
        rollback="The action's own rollback puts the old value back.",
        privilege="a superuser, or SET and ALTER SYSTEM on the setting (15 and later)",
        diagram="",
        data={"checkpoints": dict(row), "wal_bytes_per_s": rate, "max_wal_size_mib": now_mib},
    )


def _wanted(rate: float, values: Mapping[str, str]) -> str:
    """WAL between two timed checkpoints; the server starts one at max_wal_size / (1 + completion target)."""
    timeout_s = int(values.get("checkpoint_timeout", DEFAULT_TIMEOUT_S))
    target = float(values.get("checkpoint_completion_target", 0.9))
    gib = math.ceil(rate * timeout_s * (1 + target) / (MIB * _MIB_PER_GIB))
    return f"{min(LARGEST_GIB, max(1, gib))}GB"


def _mib(size: str) -> int:
    return int(size.removesuffix("GB")) * _MIB_PER_GIB


CLASS = IncidentClass(NAME, "checkpoints come too often because WAL is full", ("checkpoints", "settings"), judge)
