-- What the exporter reads from the target. The names of the columns are the ends of the metrics' names, those of
-- postgres_exporter (prometheus-community, queries of 0.11 and later); columns named label_* become labels.

-- name: pg_stat_database
SELECT
    datid::text AS label_datid,
    datname::text AS label_datname,
    numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted,
    tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time
FROM pg_stat_database
WHERE datname = current_database();

-- name: pg_stat_user_tables
SELECT
    current_database()::text AS label_datname,
    schemaname::text AS label_schemaname,
    relname::text AS label_relname,
    seq_scan, seq_tup_read,
    coalesce(idx_scan, 0) AS idx_scan, coalesce(idx_tup_fetch, 0) AS idx_tup_fetch,
    n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze,
    vacuum_count, autovacuum_count, analyze_count, autoanalyze_count
FROM pg_stat_user_tables;

-- name: pg_stat_activity
SELECT
    datname::text AS label_datname,
    states.state AS label_state,
    coalesce(activity.usename, '')::text AS label_usename,
    coalesce(activity.application_name, '') AS label_application_name,
    coalesce(activity.backend_type, '') AS label_backend_type,
    coalesce(activity.wait_event_type, '') AS label_wait_event_type,
    count(activity.pid) AS count,
    coalesce(max(extract(epoch FROM clock_timestamp() - activity.xact_start)), 0)::float8 AS max_tx_duration
FROM (
    VALUES ('active'), ('idle'), ('idle in transaction'), ('idle in transaction (aborted)'),
           ('fastpath function call'), ('disabled')
) AS states (state)
CROSS JOIN (SELECT datname FROM pg_database WHERE datname = current_database()) AS databases
LEFT JOIN pg_stat_activity AS activity USING (datname, state)
GROUP BY datname, states.state, activity.usename, activity.application_name, activity.backend_type,
    activity.wait_event_type;

-- name: pg_long_running
-- Transactions older than a minute, as postgres_exporter's collector long_running_transactions counts them.
SELECT
    count(*) AS transactions,
    coalesce(extract(epoch FROM min(xact_start)), 0)::float8 AS transactions_oldest_timestamp_seconds
FROM pg_stat_activity
WHERE state IS DISTINCT FROM 'idle'
    AND query NOT LIKE 'autovacuum:%'
    AND xact_start < clock_timestamp() - interval '1 minute';

-- name: pg_locks
SELECT current_database()::text AS label_datname, modes.mode AS label_mode, count(locks.pid) AS count
FROM (
    VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), ('shareupdateexclusivelock'),
           ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'), ('accessexclusivelock')
) AS modes (mode)
LEFT JOIN pg_locks AS locks
    ON lower(locks.mode) = modes.mode
    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY modes.mode;

-- name: pg_settings
SELECT
    current_setting('max_connections')::float8 AS max_connections,
    pg_size_bytes(current_setting('shared_buffers'))::float8 AS shared_buffers_bytes,
    pg_size_bytes(current_setting('work_mem'))::float8 AS work_mem_bytes,
    pg_size_bytes(current_setting('maintenance_work_mem'))::float8 AS maintenance_work_mem_bytes;

-- name: pg_stat_statements
-- The twenty statements with the most time so far; queryid alone, because texts are unbounded and not for labels.
SELECT
    roles.rolname::text AS label_user,
    current_database()::text AS label_datname,
    statements.queryid::text AS label_queryid,
    sum(statements.calls)::float8 AS calls_total,
    (sum(statements.total_exec_time) / 1000)::float8 AS seconds_total,
    sum(statements.rows)::float8 AS rows_total
FROM pg_stat_statements AS statements
JOIN pg_roles AS roles ON roles.oid = statements.userid
WHERE statements.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY roles.rolname, statements.queryid
ORDER BY sum(statements.total_exec_time) DESC
LIMIT 20;
