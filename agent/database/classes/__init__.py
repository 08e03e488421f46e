"""The incident classes a diagnosis knows, one a file; idle_in_transaction is the model to copy.

To add one:

1. What it reads. Take readings that are in agent.database.readings.READINGS; for a new one add an entry there (keys;
   counters, when it only makes sense as a difference over the window; sampled, when one look is chance), the query
   as `read_<name>` in connectors/target/readings.sql (ages in seconds, sizes in bytes, casts to plain types, never more
   rows than a person would look at, except counters of tables), and a line in connectors.target.readings.SOURCES: the
   query from which server version on, the extension it needs, and the GRANT that would show it.
2. agent/database/classes/<name>.py with `CLASS = IncidentClass(name, what, reads, judge)`, the name none of the other
   checks' in agent.database.checks. judge(readings) is pure. It asks readings.rows() or readings.deltas(), hands a
   NotVisible on as it is, takes thresholds from readings.limits or from constants with their source, and says in
   ruled_out why it is not its look-alikes. An action is built as its type and shown by proposed(); where none is safe,
   action is None and advice says what a human does. Needs it a plan or a what-if, give the class a follow_up.
3. A line in CLASSES below. It is then part of `stanch diagnose`, and a check that skills can name.
4. A scenario that provokes it in lab/provoke/<name>.py and a line in lab.provoke.SCENARIOS: tests, and the matrix of
   `stanch bench diagnose`, run every scenario. tests/agent/database/classes/test_<name>.py for the judgement.
5. Its row in docs/database.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.classes import (
    archiver_failing,
    autovacuum_starved,
    cache_misses,
    checkpoint_storm,
    connection_exhaustion,
    correlated_columns,
    ddl_lock_queue,
    deadlocks,
    disk_full,
    duplicate_index,
    foreign_key_without_index,
    forgotten_prepared_transaction,
    hot_update_loss,
    idle_in_transaction,
    index_bloat,
    invalid_index,
    lwlock_contention,
    missing_index,
    old_xmin,
    outdated_statistics,
    oversized_result,
    plan_flip,
    query_shape,
    replication_lag,
    row_lock_pile_up,
    runaway_query,
    sequence_exhaustion,
    slot_retains_wal,
    table_bloat,
    temp_file_spill,
    too_many_indexes,
    unused_index,
    wraparound,
    write_surge,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.incident_class import IncidentClass

_ALL: tuple[IncidentClass, ...] = (
    ddl_lock_queue.CLASS,
    row_lock_pile_up.CLASS,
    idle_in_transaction.CLASS,
    forgotten_prepared_transaction.CLASS,
    connection_exhaustion.CLASS,
    deadlocks.CLASS,
    disk_full.CLASS,
    slot_retains_wal.CLASS,
    archiver_failing.CLASS,
    wraparound.CLASS,
    replication_lag.CLASS,
    runaway_query.CLASS,
    old_xmin.CLASS,
    autovacuum_starved.CLASS,
    checkpoint_storm.CLASS,
    cache_misses.CLASS,
    lwlock_contention.CLASS,
    missing_index.CLASS,
    outdated_statistics.CLASS,
    plan_flip.CLASS,
    foreign_key_without_index.CLASS,
    hot_update_loss.CLASS,
    too_many_indexes.CLASS,
    write_surge.CLASS,
    temp_file_spill.CLASS,
    table_bloat.CLASS,
    sequence_exhaustion.CLASS,
    invalid_index.CLASS,
    query_shape.CLASS,
    oversized_result.CLASS,
    correlated_columns.CLASS,
    index_bloat.CLASS,
    duplicate_index.CLASS,
    unused_index.CLASS,
)

CLASSES: Mapping[str, IncidentClass] = {one.name: one for one in _ALL}
"""In the order in which findings of one severity are told: what stops others first."""
