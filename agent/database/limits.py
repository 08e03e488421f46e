"""From when on something counts as an incident. Each can be set: what is long for one system is normal for another."""

from __future__ import annotations

from dataclasses import dataclass

from agent.database.value import Value


@dataclass(frozen=True, slots=True)
class Limits(Value):
    """Ages in seconds, shares between 0 and 1.

    lock_wait_s: deadlock_timeout's default; PostgreSQL itself thinks a wait worth a look after it.
    idle_transaction_s, long_query_s: pghero's long_running_query_sec (60 s).
    blocking_idle_s: an idle transaction that others wait for counts this early.
    replication_lag_s: as of postgres_exporter's own alerts (30 s).
    prepared_s: a coordinator that has not finished after five minutes has forgotten.
    old_xmin_xids: below autovacuum_freeze_max_age by far, and enough dead rows for a busy table to slow down.
    connections_share, disk_free_share: check_postgres warns at 90 % of connections; 15 % of a disk is kept free.
    index_unused_s: pghero counts an index unused over the life of the counters; a week holds every weekday's jobs.
    sequence_share: of its values; pghero calls 0.9 a danger, and the way out of it takes days.
    bloat_bytes: an index smaller than this is read whole anyway. dead_rows, dead_share: both, before dead rows count.
    temp_bytes_per_s: written to temporary files; a disk of 100 MB/s is a tenth busy with them.
    surge_rows_per_s, surge_factor: rows written a second, and how many times the rate before. rows_per_call: more than
    any page shows.
    """

    lock_wait_s: float = 1.0
    blocking_idle_s: float = 1.0
    idle_transaction_s: float = 300.0
    long_query_s: float = 60.0
    replication_lag_s: float = 30.0
    prepared_s: float = 300.0
    old_xmin_xids: int = 100_000
    connections_share: float = 0.9
    disk_free_share: float = 0.15
    index_unused_s: float = 604_800.0
    sequence_share: float = 0.8
    bloat_bytes: int = 10_000_000
    dead_rows: int = 10_000
    dead_share: float = 0.2
    temp_bytes_per_s: float = 10_000_000.0
    surge_rows_per_s: float = 1_000.0
    surge_factor: float = 5.0
    rows_per_call: float = 10_000.0
