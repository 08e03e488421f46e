-- Every query sent to a target. Sessions run with search_path = pg_catalog, so names without a schema are the
-- system's own; {…} is an identifier filled in by psycopg.sql, %(…)s a parameter. Versions 12 to 18.

-- name: identity
-- Which server and database this is; every role may call pg_control_system().
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_database()::text AS database,
       current_setting('server_version_num')::int AS server_version_num,
       pg_is_in_recovery() AS in_recovery

-- name: extension
-- The schema of an extension, and its version as [major, minor].
SELECT n.nspname::text AS schema, string_to_array(e.extversion, '.')::int[] AS version
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = %(extension)s

-- name: statements_reset
-- pg_stat_statements 1.9 and later: when the counters began, and how many entries were thrown out since.
SELECT stats_reset, dealloc FROM {extension}.pg_stat_statements_info

-- name: statement_counters
-- pg_stat_statements 1.8 and later: counters of this database, without texts.
SELECT userid, queryid, sum(calls)::bigint AS calls, sum(total_exec_time)::float8 AS total_exec_ms,
       min(min_exec_time)::float8 AS min_exec_ms, sum(rows)::bigint AS rows,
       sum(shared_blks_read)::bigint AS shared_blks_read, sum(shared_blks_hit)::bigint AS shared_blks_hit
FROM {extension}.pg_stat_statements(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY userid, queryid

-- name: statement_counters_before_1_8
-- The same up to 1.7 (PostgreSQL 12), where planning was not counted apart.
SELECT userid, queryid, sum(calls)::bigint AS calls, sum(total_time)::float8 AS total_exec_ms,
       NULL::float8 AS min_exec_ms, sum(rows)::bigint AS rows,
       sum(shared_blks_read)::bigint AS shared_blks_read, sum(shared_blks_hit)::bigint AS shared_blks_hit
FROM {extension}.pg_stat_statements(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY userid, queryid

-- name: statement_texts
-- The texts of a few statements; a text longer than the limit could not be planned anyway.
SELECT DISTINCT ON (s.userid, s.queryid) s.userid, s.queryid, left(s.query, %(chars)s) AS query,
       coalesce(r.rolname::text, s.userid::text) AS "user"
FROM {extension}.pg_stat_statements(true) s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.queryid = ANY(%(queryids)s)
  AND NOT (s.query LIKE %(own)s AND r.rolname = session_user)
ORDER BY s.userid, s.queryid

-- name: table_counters
-- Counters of every user table; the sizes are pages as of the last vacuum or analyze, since asking the file system
-- takes a lock that waits behind DDL.
SELECT t.relid, t.schemaname::text AS schema, t.relname::text AS "table", t.seq_scan AS seq_scans, t.seq_tup_read,
       coalesce(t.idx_scan, 0) AS idx_scans, t.n_live_tup AS live_rows, t.n_dead_tup AS dead_rows,
       t.n_mod_since_analyze AS modified_since_analyze, greatest(t.last_analyze, t.last_autoanalyze) AS last_analyze
FROM pg_stat_user_tables t

-- name: table_sizes
-- Bytes of a table with its indexes and TOAST by the catalog's page counts.
SELECT c.oid AS relid,
       (c.relpages::bigint + coalesce(t.relpages, 0)
        + coalesce((SELECT sum(x.relpages::bigint) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                    WHERE i.indrelid IN (c.oid, t.oid)), 0))::bigint
       * current_setting('block_size')::bigint AS total_bytes
FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = ANY(%(relids)s::oid[])

-- name: sessions
-- Client connections but our own. visible is false where the role is shown neither state nor query; lock waits are
-- walked only for those that wait, since pg_blocking_pids() holds up the lock manager. waitstart came with 14.
SELECT a.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, 'hidden') AS state, a.wait_event_type, a.wait_event,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS xact_age_s,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_age_s,
       age(a.backend_xmin) AS backend_xmin_age, a.backend_start, left(coalesce(a.query, ''), 4000) AS query,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{{}}'::int[] END AS blocked_by,
       CASE WHEN a.wait_event_type = 'Lock' THEN extract(epoch FROM clock_timestamp() - coalesce(
           (SELECT min((to_jsonb(l) ->> 'waitstart')::timestamptz) FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted),
           a.query_start))::float8 END AS waiting_s,
       a.backend_type IS NOT NULL AS visible
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid()
  AND (a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL))
  AND NOT (a.application_name = %(own)s AND a.usename = session_user)

-- name: connection_limits
-- reserved_connections came with 16.
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable

-- name: relation
-- One table by its exact name. reltuples is -1 from 14 on, and 0 with no pages before, when it was never analysed.
SELECT c.oid AS relid, c.relkind::text AS relkind,
       CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN NULL ELSE c.reltuples::bigint END AS rows,
       c.relpages::bigint * current_setting('block_size')::bigint AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p', 'm', 'f')

-- name: columns
-- Plain columns in order with the planner's statistics; pg_stats shows those of readable columns only.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, s.n_distinct::float8 AS n_distinct,
       s.null_frac::float8 AS null_frac, s.avg_width AS avg_width_bytes
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                    AND s.inherited = (c.relkind = 'p')
WHERE a.attrelid = %(relid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: indexes
-- Indexes of a table with their key columns in order; an expression is NULL. Size by pages, as above.
SELECT x.relname::text AS name,
       ARRAY(SELECT k.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS p(position)
             LEFT JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[p.position] AND k.attnum > 0
             ORDER BY p.position) AS columns,
       pg_get_indexdef(i.indexrelid) AS definition, m.amname::text AS method, i.indisvalid AS valid,
       i.indisready AS ready, i.indisunique AS "unique", i.indpred IS NOT NULL AS partial,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = %(relid)s
ORDER BY x.relname

-- name: invalid_indexes
-- Not valid and nobody at it. Indexes of partitioned tables (relkind I) are left out: those wait for their parts.
SELECT n.nspname::text AS schema, t.relname::text AS "table", x.relname::text AS name, i.indisready AS ready,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE NOT i.indisvalid AND x.relkind = 'i'
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY i.indisready DESC, x.relpages DESC
LIMIT 100

-- name: hidden_builds
-- Index builds of which the role is shown no more than the pid.
SELECT count(*) AS hidden FROM pg_stat_progress_create_index WHERE datname = current_database() AND relid IS NULL

-- name: relations_named
-- Everything that has one of these names.
SELECT c.relname::text AS name, n.nspname::text AS schema, c.relkind::text AS relkind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY(%(names)s::name[]) AND c.relkind IN ('r', 'p', 'm', 'f', 'v')

-- name: search_path_of
-- What a role's new sessions in this database search, by the most particular setting; no row when nothing is set.
SELECT substr(c.setting, length('search_path=') + 1) AS search_path
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
WHERE c.setting LIKE 'search_path=%%'
  AND s.setrole IN (0, coalesce((SELECT oid FROM pg_roles WHERE rolname = %(user)s), 0))
  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
LIMIT 1

-- name: path_schemas
-- A search_path text as schema names, as PostgreSQL itself splits it; "$user" stays as it is.
SELECT parse_ident(trim(part)) AS names FROM unnest(string_to_array(%(search_path)s, ',')) AS part

-- name: prepared_parameters
-- How many parameters the statement being planned has.
SELECT cardinality(parameter_types) AS parameters FROM pg_prepared_statements WHERE name = %(name)s

-- name: hypothetical_create
-- HypoPG: an index that exists for this session's EXPLAIN only.
SELECT indexrelid FROM {extension}.hypopg_create_index(%(command)s)

-- name: hypothetical_size
-- HypoPG's estimate in bytes.
SELECT {extension}.hypopg_relation_size(%(relid)s) AS bytes

-- name: hypothetical_reset
-- HypoPG: forget all of this session's.
SELECT {extension}.hypopg_reset()

-- name: facts_running
-- What holds or waits for SHARE UPDATE EXCLUSIVE or more on a table: builds, vacuums, analyzes, DDL.
SELECT l.pid, coalesce(
           (SELECT p.command FROM pg_stat_progress_create_index p WHERE p.pid = l.pid AND p.relid = l.relation),
           (SELECT 'VACUUM' FROM pg_stat_progress_vacuum p WHERE p.pid = l.pid AND p.relid = l.relation),
           (SELECT 'CLUSTER or VACUUM FULL' FROM pg_stat_progress_cluster p WHERE p.pid = l.pid AND p.relid = l.relation),
           'a command with ' || max(l.mode)) AS what
FROM pg_locks l
WHERE l.locktype = 'relation' AND l.relation = %(relid)s AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
GROUP BY l.pid, l.relation

-- name: rights_to_build
-- What CREATE INDEX asks of the role: to act as the table's owner, and CREATE on the schema.
SELECT pg_has_role(c.relowner, 'USAGE') AS owner, has_schema_privilege(c.relnamespace, 'CREATE') AS creates,
       pg_get_userbyid(c.relowner)::text AS owned_by
FROM pg_class c WHERE c.oid = %(relid)s

-- name: replication_lag
-- The slowest standby; NULL without any, and for a role that is not shown it.
SELECT max(extract(epoch FROM replay_lag))::float8 AS replay_lag_s FROM pg_stat_replication

-- name: try_lock
-- Ours for this table, or not; never the blocking form, which deadlocks with an index build that waits for its holder.
SELECT pg_try_advisory_lock(%(namespace)s::int, %(relid)s::oid::int8::bit(32)::int) AS locked

-- name: unlock
-- Gives the tables' locks back, and with the executor's own name says that nothing more comes of this session.
SELECT pg_advisory_unlock_all(), set_config('application_name', %(application)s, false)

-- name: outlive_the_client
-- A server told to look whether its client lives would end a build with us. The setting came with 14.
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'client_connection_check_interval'

-- name: lock_holder
-- Who holds the table's advisory lock in this database; no row when nobody does.
SELECT l.pid, a.application_name AS application FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(namespace)s::int8::oid AND l.objid = %(relid)s::oid
  AND l.objsubid = 2 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: executing_backend
-- The session of an execution, by the name it gave itself.
SELECT pid FROM pg_stat_activity WHERE application_name = %(application)s AND datname = current_database()

-- name: build_progress
-- An index build, by backend or by table. Visible to every role.
SELECT pid, command, phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total,
       nullif(current_locker_pid, 0)::int AS current_locker_pid
FROM pg_stat_progress_create_index
WHERE datname = current_database() AND (pid = %(pid)s OR relid = %(relid)s::oid)
ORDER BY pid = %(pid)s DESC
LIMIT 1

-- name: blockers
-- Who a backend waits for.
SELECT pg_blocking_pids(%(pid)s) AS pids

-- name: index_named
-- An index by schema and name, with its table.
SELECT x.oid AS relid, t.relname::text AS "table", n.nspname::text AS schema, i.indisvalid AS valid, i.indisready AS ready,
       pg_get_indexdef(i.indexrelid) AS definition, m.amname::text AS method, i.indisunique AS "unique",
       i.indpred IS NOT NULL AS partial,
       ARRAY(SELECT k.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS p(position)
             LEFT JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[p.position] AND k.attnum > 0
             ORDER BY p.position) AS columns
FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_index i ON i.indexrelid = x.oid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am m ON m.oid = x.relam
WHERE n.nspname = %(schema)s AND x.relname = %(name)s

-- name: claim
-- The first row stays; the other one sees no row come back.
INSERT INTO stanch_guard.claim (approval_id, phase, part, kind, execution_id)
VALUES (%(approval_id)s, %(phase)s, %(part)s, %(kind)s, %(execution_id)s)
ON CONFLICT DO NOTHING
RETURNING approval_id

-- name: claimed
-- Who was first.
SELECT approval_id::text AS approval_id, phase::text AS phase, part, kind::text AS kind, execution_id::text AS execution_id
FROM stanch_guard.claim
WHERE approval_id = %(approval_id)s AND phase = %(phase)s AND part = %(part)s
