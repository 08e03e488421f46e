-- The readings of agent.database.readings: incidents by catalog and statistics views. Rules as in queries.sql; `own`
-- begins the application names of all our sessions, so that none of ours is taken for a part of the incident.

-- name: session_settings
-- Whether our own session is what it was asked to be.
SELECT current_setting('default_transaction_read_only') AS read_only, current_setting('search_path') AS search_path

-- name: read_sessions
-- Client sessions and autovacuum workers but our own. blocked_by is asked of those that wait only, since
-- pg_blocking_pids() holds up the lock manager; every role is shown the locks, also of sessions it is shown nothing of.
-- waits_for_strong_lock: it wants a lock that stops others' reads or writes of a table. waitstart came with 14; before,
-- a wait is no older than its statement.
SELECT a.pid, coalesce(a.datname::text, '') AS database, coalesce(a.usename::text, '') AS "user",
       coalesce(a.application_name, '') AS application, coalesce(host(a.client_addr), '') AS client,
       coalesce(a.backend_type, 'client backend') AS backend_type, coalesce(a.state, 'hidden') AS state,
       a.wait_event_type, a.wait_event,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS xact_age_s,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_age_s,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_age_s,
       age(a.backend_xmin) AS backend_xmin_age, age(a.backend_xid) AS backend_xid_age,
       a.backend_start, left(coalesce(a.query, ''), 4000) AS query,
       CASE WHEN w.pid IS NOT NULL THEN pg_blocking_pids(a.pid) ELSE '{{}}'::int[] END AS blocked_by,
       CASE WHEN w.pid IS NOT NULL
            THEN extract(epoch FROM clock_timestamp() - coalesce(w.since, a.query_start))::float8 END AS waiting_s,
       w.locktype AS waits_for, w.mode AS wanted_mode, w.relation AS wanted_relation,
       coalesce(w.strong, false) AS waits_for_strong_lock,
       a.backend_type IS NOT NULL AS visible
FROM pg_stat_activity a
LEFT JOIN (
    SELECT DISTINCT ON (l.pid) l.pid, (to_jsonb(l) ->> 'waitstart')::timestamptz AS since, l.locktype, l.mode,
           (SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = l.relation AND l.database IN (0, h.oid)) AS relation,
           l.locktype = 'relation' AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock',
                                                  'ShareLock') AS strong
    FROM pg_locks l JOIN pg_database h ON h.datname = current_database() WHERE NOT l.granted) w ON w.pid = a.pid
WHERE a.pid <> pg_backend_pid()
  AND (a.backend_type IN ('client backend', 'autovacuum worker') OR (a.backend_type IS NULL AND a.datid IS NOT NULL))
  AND left(a.application_name, length(%(own)s)) <> %(own)s

-- name: read_settings
-- Settings that judgements look at, in the unit the server counts them in. Not those that our own session changes.
SELECT name, setting AS value, coalesce(unit, '') AS unit, source FROM pg_settings
WHERE name IN ('archive_mode', 'autovacuum', 'autovacuum_freeze_max_age', 'autovacuum_max_workers',
               'autovacuum_multixact_freeze_max_age', 'autovacuum_naptime', 'autovacuum_vacuum_cost_delay',
               'autovacuum_vacuum_cost_limit', 'block_size', 'checkpoint_completion_target', 'checkpoint_timeout',
               'data_directory', 'deadlock_timeout', 'hot_standby_feedback', 'max_connections',
               'max_prepared_transactions', 'max_slot_wal_keep_size', 'max_standby_streaming_delay', 'max_wal_size',
               'reserved_connections', 'shared_buffers', 'superuser_reserved_connections', 'track_io_timing',
               'vacuum_cost_limit', 'vacuum_cost_page_miss', 'wal_segment_size', 'work_mem')

-- name: read_prepared
-- Prepared transactions, and who waits for a lock of theirs: such locks have no process, and the virtual transaction of
-- the lock on the transaction's own id.
SELECT p.gid, p.database::text AS database, p.owner::text AS owner,
       extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS age_s, age(p.transaction) AS xid_age,
       ARRAY(SELECT DISTINCT w.pid FROM pg_locks x
             JOIN pg_locks h ON h.granted AND h.pid IS NULL AND h.virtualtransaction = x.virtualtransaction
             JOIN pg_locks w ON NOT w.granted AND w.pid IS NOT NULL
                 AND w.locktype = h.locktype AND w.transactionid IS NOT DISTINCT FROM h.transactionid
                 AND w.database IS NOT DISTINCT FROM h.database AND w.relation IS NOT DISTINCT FROM h.relation
                 AND w.page IS NOT DISTINCT FROM h.page AND w.tuple IS NOT DISTINCT FROM h.tuple
             WHERE x.granted AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.transactionid = p.transaction
             ORDER BY w.pid) AS blocks
FROM pg_prepared_xacts p ORDER BY p.prepared LIMIT 100

-- name: read_slots
-- Replication slots with the WAL they keep. wal_status and safe_wal_size came with 13.
SELECT s.slot_name::text AS slot, s.slot_type AS type, coalesce(s.database::text, '') AS database, s.active,
       s.active_pid, s.temporary, age(s.xmin) AS xmin_age, age(s.catalog_xmin) AS catalog_xmin_age,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       s.restart_lsn)::bigint AS retained_bytes,
       to_jsonb(s) ->> 'wal_status' AS wal_status, (to_jsonb(s) ->> 'safe_wal_size')::bigint AS safe_bytes
FROM pg_replication_slots s ORDER BY retained_bytes DESC NULLS LAST LIMIT 100

-- name: read_standbys
-- Who streams from here and how far behind in bytes; state NULL is hidden from us.
SELECT r.pid, coalesce(r.usename::text, '') AS "user", coalesce(r.application_name, '') AS application,
       coalesce(host(r.client_addr), '') AS client, r.state, r.sync_state, age(r.backend_xmin) AS backend_xmin_age,
       pg_wal_lsn_diff(p.lsn, r.sent_lsn)::bigint AS sent_behind_bytes,
       pg_wal_lsn_diff(p.lsn, r.flush_lsn)::bigint AS flush_behind_bytes,
       pg_wal_lsn_diff(p.lsn, r.replay_lsn)::bigint AS replay_behind_bytes,
       extract(epoch FROM r.replay_lag)::float8 AS replay_lag_s, r.state IS NOT NULL AS visible
FROM pg_stat_replication r
CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END) p(lsn)

-- name: read_recovery
-- How a standby gets on; no row on a primary. conflict: what the startup process waits for, if it does.
SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS replay_behind_bytes,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS last_replay_age_s,
       pg_is_wal_replay_paused() AS paused,
       (SELECT status FROM pg_stat_wal_receiver LIMIT 1) AS receiver,
       (SELECT a.wait_event FROM pg_stat_activity a WHERE a.backend_type = 'startup') AS startup_waits_for,
       (SELECT pg_blocking_pids(a.pid) FROM pg_stat_activity a WHERE a.backend_type = 'startup') AS startup_blocked_by
WHERE pg_is_in_recovery()

-- name: read_archiver
-- The archiver's own counts.
SELECT archived_count, coalesce(last_archived_wal, '') AS last_archived_wal,
       extract(epoch FROM clock_timestamp() - last_archived_time)::float8 AS last_archived_age_s, failed_count,
       coalesce(last_failed_wal, '') AS last_failed_wal,
       extract(epoch FROM clock_timestamp() - last_failed_time)::float8 AS last_failed_age_s, stats_reset AS reset_at
FROM pg_stat_archiver

-- name: read_checkpoints
-- Checkpoints and the WAL written, from 17 on.
SELECT num_timed AS timed, num_requested AS requested, write_time AS write_ms, buffers_written AS buffers,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes, stats_reset AS reset_at
FROM pg_stat_checkpointer

-- name: read_checkpoints_before_17
-- The same up to 16.
SELECT checkpoints_timed AS timed, checkpoints_req AS requested, checkpoint_write_time AS write_ms,
       buffers_checkpoint AS buffers, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes,
       stats_reset AS reset_at
FROM pg_stat_bgwriter

-- name: read_databases
-- Every database's counters, and how old its oldest unfrozen transaction is.
SELECT d.datname::text AS database, s.numbackends AS connections, s.xact_commit AS commits,
       s.xact_rollback AS rollbacks, s.blks_read, s.blks_hit, s.tup_returned, s.tup_fetched, s.tup_inserted,
       s.tup_updated, s.tup_deleted, s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks,
       s.blk_read_time AS read_ms, s.stats_reset AS reset_at, age(d.datfrozenxid) AS xid_age,
       mxid_age(d.datminmxid) AS mxid_age, d.datname = current_database() AS this_one
FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid

-- name: read_oldest_tables
-- The tables of this database whose freezing is most overdue; a TOAST table counts for its owner.
SELECT n.nspname::text AS schema, c.relname::text AS "table",
       greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS xid_age,
       greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) AS mxid_age,
       (c.relpages::bigint + coalesce(t.relpages, 0)) * current_setting('block_size')::bigint AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
ORDER BY greatest(age(c.relfrozenxid), age(t.relfrozenxid)) DESC, n.nspname LIKE 'pg\_%%', c.relpages DESC LIMIT 10

-- name: read_vacuum_needs
-- Tables with more dead rows than autovacuum waits for, by its own formula (with an upper bound from 18 on). enabled
-- False: switched off for the table. shut_out_by: who holds a lock on it for which an autovacuum steps aside.
SELECT t.schemaname::text AS schema, t.relname::text AS "table", t.n_live_tup AS live_rows, t.n_dead_tup AS dead_rows,
       l.at_rows::bigint AS wanted_at_rows, l.enabled,
       extract(epoch FROM clock_timestamp() - t.last_autovacuum)::float8 AS last_autovacuum_age_s,
       extract(epoch FROM clock_timestamp() - t.last_vacuum)::float8 AS last_vacuum_age_s,
       ARRAY(SELECT DISTINCT k.pid FROM pg_locks k JOIN pg_stat_activity a ON a.pid = k.pid
             WHERE k.locktype = 'relation' AND k.relation = t.relid AND k.granted
               AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
               AND k.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                              'AccessExclusiveLock')) AS shut_out_by
FROM pg_stat_user_tables t JOIN pg_class c ON c.oid = t.relid
CROSS JOIN LATERAL (
    SELECT least(nullif(current_setting('autovacuum_vacuum_max_threshold', true)::float8, -1),
                 coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold'),
                          current_setting('autovacuum_vacuum_threshold'))::float8
                 + coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor'),
                            current_setting('autovacuum_vacuum_scale_factor'))::float8
                 * greatest(c.reltuples, 0)) AS at_rows,
           coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_enabled'), 'on')::boolean AS enabled
    FROM pg_options_to_table(c.reloptions) o) l
WHERE t.n_dead_tup > l.at_rows
ORDER BY t.n_dead_tup - l.at_rows DESC LIMIT 50

-- name: read_vacuums
-- Vacuums under way.
SELECT p.pid, p.datname::text AS database, coalesce(p.relid::regclass::text, '') AS "table", p.phase,
       p.heap_blks_total, p.heap_blks_scanned, p.heap_blks_vacuumed,
       coalesce(a.backend_type, 'hidden') AS backend_type, a.wait_event_type, a.wait_event,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, coalesce(a.query, '') AS query
FROM pg_stat_progress_vacuum p LEFT JOIN pg_stat_activity a ON a.pid = p.pid
WHERE p.datname = current_database()

-- name: read_wait_events
-- What the active sessions of clients wait for at this moment; no wait event is the processor.
SELECT coalesce(a.wait_event_type, 'CPU') AS wait_event_type, coalesce(a.wait_event, 'CPU') AS wait_event,
       count(*) AS sessions
FROM pg_stat_activity a
WHERE a.state = 'active' AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND left(a.application_name, length(%(own)s)) <> %(own)s
GROUP BY 1, 2

-- name: read_wal_directory
-- The WAL on disk.
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM pg_ls_waldir()

-- name: read_temporary_files
-- Temporary files in the default tablespace at this moment.
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM pg_ls_tmpdir()

-- name: read_data_directory
-- Where the server's files are, and what tells that a directory of this machine is really this server's.
SELECT current_setting('data_directory') AS path, current_setting('port') AS port,
       extract(epoch FROM pg_postmaster_start_time())::bigint AS started_at,
       inet_server_addr() IS NULL OR inet_server_addr() <<= inet '127.0.0.0/8' OR inet_server_addr() = inet '::1' AS here

-- name: read_tables_at_start
-- The counters of read_tables, of the tables that have any: past pg_stat_user_tables, which works out far more.
SELECT c.oid::bigint AS relid, s.seq_scan, s.seq_tup_read, s.idx_scan, s.inserted, s.updated, s.deleted, s.hot_updated
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT i.indrelid, sum(pg_stat_get_numscans(i.indexrelid))::bigint AS scans FROM pg_index i
           GROUP BY i.indrelid) x ON x.indrelid = c.oid
CROSS JOIN LATERAL (
    SELECT pg_stat_get_numscans(c.oid) AS seq_scan, pg_stat_get_tuples_returned(c.oid) AS seq_tup_read,
           coalesce(x.scans, 0) AS idx_scan, pg_stat_get_tuples_inserted(c.oid) AS inserted,
           pg_stat_get_tuples_updated(c.oid) AS updated, pg_stat_get_tuples_deleted(c.oid) AS deleted,
           pg_stat_get_tuples_hot_updated(c.oid) AS hot_updated) s
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
  AND s.seq_scan + s.idx_scan + s.inserted + s.updated + s.deleted > 0
