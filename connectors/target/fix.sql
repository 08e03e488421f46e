-- What the executor asks of a target: what stands in the way of a fix, how far it is, and what it left behind.
-- The same rules as in queries.sql.

-- name: moment
-- The server's own clock.
SELECT clock_timestamp() AS at

-- name: claim_moment
-- Whose claim it is, when it was made by the target's own clock, and by which transaction.
SELECT kind::text AS kind, execution_id::text AS execution_id, at, xmin::text AS xid
FROM stanch_guard.claim WHERE approval_id = %(approval_id)s AND phase = %(phase)s AND part = 0

-- name: abandon_parts
-- The parts of a run that nobody has begun: whoever comes back to them finds them taken.
INSERT INTO stanch_guard.claim (approval_id, phase, part, kind, execution_id)
SELECT %(approval_id)s, %(phase)s, part, 'abandon', %(execution_id)s FROM generate_series(1, %(last)s::int) AS part
ON CONFLICT DO NOTHING
RETURNING part

-- name: open_transactions
-- Open transactions of this database but our own, with the tables they hold a lock on, and those that they may have
-- written to. A NULL state is hidden from us. A snapshot held in another database does not matter.
SELECT a.pid, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 AS age_s,
       coalesce(a.state, 'hidden') AS state, a.backend_xmin IS NOT NULL AS holds_snapshot,
       a.backend_type IS NOT NULL AS visible, coalesce(a.application_name, '') AS application,
       coalesce((SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname,
                                  l.mode NOT IN ('AccessShareLock', 'RowShareLock')))
                 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.database = a.datid
                   AND c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'pg_toast')), '[]') AS locks
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (a.backend_type = 'client backend' OR a.backend_type IS NULL)
  AND (a.xact_start IS NOT NULL OR a.backend_type IS NULL)

-- name: prepared_transactions
-- Prepared transactions of this database: their locks stay without a session. A lock names them by their xid.
SELECT x.gid, extract(epoch FROM clock_timestamp() - x.prepared)::float8 AS age_s,
       coalesce((SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname,
                                  l.mode NOT IN ('AccessShareLock', 'RowShareLock')))
                 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE l.pid IS NULL AND l.virtualtransaction = '-1/' || x.transaction::text
                   AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'm')), '[]') AS locks
FROM pg_prepared_xacts x WHERE x.database = current_database()

-- name: partitions
-- Direct partitions of a table.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS relkind, c.oid AS relid,
       CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN NULL ELSE c.reltuples::bigint END AS rows,
       c.relpages::bigint * current_setting('block_size')::bigint AS bytes
FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE h.inhparent = %(relid)s ORDER BY n.nspname, c.relname

-- name: disk_of
-- Where a table's files are, and whether the server's end of this connection is our own machine's. The view leaves out
-- data_directory for who is no member of pg_read_all_settings.
SELECT coalesce(nullif(pg_tablespace_location(coalesce(nullif(c.reltablespace, 0),
                (SELECT dattablespace FROM pg_database WHERE datname = current_database()))), ''),
                (SELECT setting FROM pg_settings WHERE name = 'data_directory')) AS directory,
       inet_server_addr() IS NULL OR host(inet_server_addr()) = host(inet_client_addr()) AS same_machine
FROM pg_class c WHERE c.oid = %(relid)s

-- name: session_by_pid
-- One session as a signal's condition sees it; the rest is NULL where we are not shown it.
SELECT a.pid, a.backend_start, a.usename::text AS "user", coalesce(r.rolsuper, true) AS superuser, a.backend_type AS kind,
       a.application_name LIKE 'stanch-%%' AS ours, a.state, a.query_start,
       encode(sha256(convert_to(left(a.query, 4000), 'UTF8')), 'hex') AS query_sha256
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = %(pid)s

-- name: role_named
-- A role's settings for all databases, and how many connections it may have.
SELECT coalesce(rolconfig, '{{}}') AS settings, rolconnlimit AS connection_limit FROM pg_roles WHERE rolname = %(role)s

-- name: server_setting
-- sourcefile is shown to members of pg_read_all_settings.
SELECT setting, unit, vartype, source, sourcefile, current_setting(name) AS shown FROM pg_settings
WHERE name = %(setting)s

-- name: may_alter_system
-- From 15 on by parameter; before that only a superuser may.
SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user

-- name: may_alter_parameter
-- 15 and later.
SELECT has_parameter_privilege(%(setting)s, 'ALTER SYSTEM') AS allowed

-- name: storage_of
-- A table's storage parameters.
SELECT coalesce(reloptions, '{{}}') AS options FROM pg_class WHERE oid = %(relid)s

-- name: statistics_target_of
-- NULL from 17 on, -1 before that: the server's default.
SELECT coalesce(attstattarget, -1)::int AS target FROM pg_attribute
WHERE attrelid = %(relid)s AND attname = %(column)s AND NOT attisdropped

-- name: prepared_named
-- A prepared transaction, and whether the role may end it as itself or by becoming its owner.
SELECT owner::text AS owner, owner = session_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS own,
       pg_has_role(session_user, owner, 'MEMBER') AS member, database = current_database() AS here
FROM pg_prepared_xacts WHERE gid = %(gid)s

-- name: slot_named
-- active: its consumer is connected.
SELECT active FROM pg_replication_slots WHERE slot_name = %(slot)s

-- name: constraint_named
-- A constraint of a table.
SELECT convalidated AS valid FROM pg_constraint WHERE conrelid = %(relid)s AND conname = %(name)s

-- name: rights_to_reference
-- What the owners need for a foreign key to be checked in their name: SELECT, and UPDATE on any column for FOR KEY SHARE.
SELECT has_table_privilege(c.relowner, c.oid, 'SELECT') AND has_any_column_privilege(c.relowner, c.oid, 'UPDATE') AS checks,
       pg_get_userbyid(c.relowner)::text AS owned_by
FROM pg_class c WHERE c.oid = %(relid)s

-- name: may_perform
-- Whether the fence's function does a command for this role; no row without the function.
SELECT has_function_privilege(p.oid, 'EXECUTE') AS allowed FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'stanch_guard' AND p.proname = 'perform'

-- name: perform
-- The fence's function: gives exactly this command, if it is one that Stanch renders.
SELECT stanch_guard.perform(%(command)s)

-- name: become
-- Acts as another role for the rest of the session; only its owner may end a prepared transaction.
SELECT set_config('role', %(role)s, false)

-- name: load
-- What the settings of a build depend on.
SELECT (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()
          AND (backend_type = 'client backend' OR backend_type IS NULL)) AS active,
       current_setting('max_parallel_workers')::int AS workers,
       pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,
       pg_size_bytes(current_setting('maintenance_work_mem')) AS maintenance_work_mem

-- name: set_session
-- One setting of this session.
SELECT set_config(%(name)s, %(value)s, false)

-- name: vacuum_progress
-- A vacuum by its backend.
SELECT phase, heap_blks_total AS total, heap_blks_scanned AS scanned, heap_blks_vacuumed AS vacuumed
FROM pg_stat_progress_vacuum WHERE pid = %(pid)s

-- name: analyze_progress
-- An analyze by its backend; 13 and later.
SELECT phase, sample_blks_total AS total, sample_blks_scanned AS scanned FROM pg_stat_progress_analyze
WHERE pid = %(pid)s

-- name: indexes_by_name
-- Which of some names are indexes of one schema, and their state.
SELECT x.relname::text AS name, i.indisvalid AS valid, i.indisready AS ready, pg_get_indexdef(x.oid) AS definition
FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_index i ON i.indexrelid = x.oid
WHERE n.nspname = %(schema)s AND x.relname = ANY(%(names)s::name[])

-- name: index_since
-- An index, and whether its row is younger than a transaction: a rebuilt index is a new one that took over the name.
SELECT i.indisvalid AS valid, age(i.xmin) < age(%(xid)s::xid) AS younger, pg_get_indexdef(x.oid) AS definition
FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_index i ON i.indexrelid = x.oid
WHERE n.nspname = %(schema)s AND x.relname = %(name)s

-- name: maintained
-- How many of a table's parts that hold rows were analyzed or vacuumed since a moment; a plain table is its own part.
SELECT count(*) AS parts, count(*) FILTER (WHERE s.last_analyze >= %(since)s) AS analyzed,
       count(*) FILTER (WHERE s.last_vacuum >= %(since)s) AS vacuumed
FROM (SELECT relid::oid AS relid FROM pg_partition_tree(%(relid)s::oid::regclass) WHERE isleaf
      UNION SELECT %(relid)s::oid) part
JOIN pg_class c ON c.oid = part.relid AND c.relkind IN ('r', 'm')
LEFT JOIN pg_stat_all_tables s ON s.relid = part.relid

-- name: vitals
-- How others fare: the slowest standby, and ordinary traffic that waits, through whomever, behind one of our backends.
WITH RECURSIVE waiting AS (
    SELECT l.pid, pg_blocking_pids(l.pid) AS blockers,
           min(coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, a.query_start)) AS since,
           bool_or(l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) AS ordinary
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE NOT l.granted AND l.locktype = 'relation' GROUP BY l.pid
), behind AS (
    SELECT pid FROM waiting WHERE %(pid)s = ANY(blockers)
    UNION
    SELECT w.pid FROM waiting w JOIN behind b ON b.pid = ANY(w.blockers)
)
SELECT (SELECT max(extract(epoch FROM replay_lag))::float8 FROM pg_stat_replication) AS replication_lag_s,
       (SELECT max(extract(epoch FROM clock_timestamp() - w.since))::float8 FROM waiting w JOIN behind USING (pid)
        WHERE w.ordinary) AS blocked_s

-- name: write_counters
-- Statements that write WAL each time they run, of this database; pg_stat_statements 1.8 and later. The counters are
-- shown to every role, the texts are not needed.
SELECT sum(calls)::bigint AS calls, sum(total_exec_time)::float8 AS exec_ms
FROM {extension}.pg_stat_statements(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND wal_records >= calls

-- name: statement_counter
-- One statement of one role, 1.8 and later; queryids are shown to members of pg_read_all_stats.
SELECT sum(s.calls)::bigint AS calls, sum(s.total_exec_time)::float8 AS exec_ms
FROM {extension}.pg_stat_statements(false) s JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.queryid = %(queryid)s::bigint
  AND r.rolname = %(user)s

-- name: statement_text
-- The text of one statement of one role.
SELECT left(s.query, 100000) AS query FROM {extension}.pg_stat_statements(true) s JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.queryid = %(queryid)s::bigint
  AND r.rolname = %(user)s LIMIT 1

-- name: table_updates
-- How many updates a table has seen, and how many of them touched no index.
SELECT sum(s.n_tup_upd)::bigint AS updates, sum(s.n_tup_hot_upd)::bigint AS hot_updates
FROM (SELECT relid::oid AS relid FROM pg_partition_tree(%(relid)s::oid::regclass) WHERE isleaf
      UNION SELECT %(relid)s::oid) part
JOIN pg_stat_all_tables s ON s.relid = part.relid

-- name: index_scans
-- How often some indexes were used.
SELECT sum(idx_scan)::bigint AS scans FROM pg_stat_all_indexes
WHERE schemaname = %(schema)s AND indexrelname = ANY(%(names)s::name[])
