"""Brings about every incident class on a throw-away server: one class a file, each with its SCENARIOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.provoke import (
    archiver_failing,
    autovacuum_starved,
    cache_misses,
    checkpoint_storm,
    connection_exhaustion,
    ddl_lock_queue,
    deadlocks,
    disk_full,
    forgotten_prepared_transaction,
    idle_in_transaction,
    lwlock_contention,
    old_xmin,
    replication_lag,
    row_lock_pile_up,
    runaway_query,
    slot_retains_wal,
    wraparound,
)

if TYPE_CHECKING:
    from lab.provoke.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *idle_in_transaction.SCENARIOS,
    *row_lock_pile_up.SCENARIOS,
    *ddl_lock_queue.SCENARIOS,
    *deadlocks.SCENARIOS,
    *connection_exhaustion.SCENARIOS,
    *runaway_query.SCENARIOS,
    *old_xmin.SCENARIOS,
    *forgotten_prepared_transaction.SCENARIOS,
    *slot_retains_wal.SCENARIOS,
    *archiver_failing.SCENARIOS,
    *checkpoint_storm.SCENARIOS,
    *autovacuum_starved.SCENARIOS,
    *cache_misses.SCENARIOS,
    *lwlock_contention.SCENARIOS,
    *disk_full.SCENARIOS,
    *replication_lag.SCENARIOS,
    *wraparound.SCENARIOS,
)
"""What the tests and `stanch bench diagnose` run. The last of them stops and starts the server."""
