-- The readings of agent.database.readings about tables, indexes, statements and what runs through them. Rules as in
-- queries.sql. Sizes are pages as of the last vacuum or analyze, since asking the file system takes a lock that waits
-- behind DDL. `own` begins the application names of all of Stanch's sessions.

-- name: read_tables
-- Counters and state of every user table that was ever touched (one that was not counts from zero), and how many indexes
-- it has. Not by pg_stat_user_tables, which sums over the indexes of all tables first.
SELECT c.oid::bigint AS relid, n.nspname::text AS schema, c.relname::text AS "table",
       pg_stat_get_numscans(c.oid) AS seq_scan, pg_stat_get_tuples_returned(c.oid) AS seq_tup_read,
       pg_stat_get_tuples_inserted(c.oid) AS inserted, pg_stat_get_tuples_updated(c.oid) AS updated,
       pg_stat_get_tuples_deleted(c.oid) AS deleted, pg_stat_get_tuples_hot_updated(c.oid) AS hot_updated,
       pg_stat_get_live_tuples(c.oid) AS live_rows, pg_stat_get_dead_tuples(c.oid) AS dead_rows,
       pg_stat_get_mod_since_analyze(c.oid) AS modified_since_analyze,
       extract(epoch FROM clock_timestamp() - greatest(
           pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8 AS vacuumed_age_s,
       extract(epoch FROM clock_timestamp() - greatest(
           pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)))::float8 AS analyzed_age_s,
       c.reltuples::float8 AS planner_rows, c.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       coalesce(c.reloptions, '{{}}')::text[] AS options, coalesce(i.indexes, 0) AS indexes,
       coalesce(i.index_bytes, 0)::bigint AS index_bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT i.indrelid, count(*) AS indexes,
                  sum(x.relpages::bigint) * current_setting('block_size')::bigint AS index_bytes
           FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid GROUP BY i.indrelid) i ON i.indrelid = c.oid
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%%'
  AND (pg_stat_get_numscans(c.oid) > 0 OR pg_stat_get_tuples_inserted(c.oid) > 0
       OR pg_stat_get_tuples_updated(c.oid) > 0 OR pg_stat_get_tuples_deleted(c.oid) > 0)

-- name: read_statements
-- pg_stat_statements from server 13 on, without texts. sum_squared_ms: of execution times, so that their spread in a
-- window can be told from two readings. generic_calls came with 18.
SELECT s.userid::bigint AS userid, s.queryid, coalesce(max(r.rolname)::text, s.userid::text) AS "user",
       sum(s.calls)::bigint AS calls, sum(s.total_exec_time)::float8 AS total_exec_ms,
       sum((s.stddev_exec_time ^ 2 + s.mean_exec_time ^ 2) * s.calls)::float8 AS sum_squared_ms,
       min(s.min_exec_time)::float8 AS min_exec_ms, sum(s.rows)::bigint AS rows,
       sum(s.shared_blks_read)::bigint AS shared_blks_read, sum(s.temp_blks_written)::bigint AS temp_blks_written,
       NULL::bigint AS generic_calls
FROM {extension}.pg_stat_statements(false) s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY s.userid, s.queryid

-- name: read_statements_from_18
-- The same from 18 on.
SELECT s.userid::bigint AS userid, s.queryid, coalesce(max(r.rolname)::text, s.userid::text) AS "user",
       sum(s.calls)::bigint AS calls, sum(s.total_exec_time)::float8 AS total_exec_ms,
       sum((s.stddev_exec_time ^ 2 + s.mean_exec_time ^ 2) * s.calls)::float8 AS sum_squared_ms,
       min(s.min_exec_time)::float8 AS min_exec_ms, sum(s.rows)::bigint AS rows,
       sum(s.shared_blks_read)::bigint AS shared_blks_read, sum(s.temp_blks_written)::bigint AS temp_blks_written,
       sum(s.generic_plan_calls)::bigint AS generic_calls
FROM {extension}.pg_stat_statements(false) s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY s.userid, s.queryid

-- name: read_statements_before_13
-- The same on 12, where planning was not counted apart.
SELECT s.userid::bigint AS userid, s.queryid, coalesce(max(r.rolname)::text, s.userid::text) AS "user",
       sum(s.calls)::bigint AS calls, sum(s.total_time)::float8 AS total_exec_ms,
       sum((s.stddev_time ^ 2 + s.mean_time ^ 2) * s.calls)::float8 AS sum_squared_ms,
       min(s.min_time)::float8 AS min_exec_ms, sum(s.rows)::bigint AS rows,
       sum(s.shared_blks_read)::bigint AS shared_blks_read, sum(s.temp_blks_written)::bigint AS temp_blks_written,
       NULL::bigint AS generic_calls
FROM {extension}.pg_stat_statements(false) s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY s.userid, s.queryid

-- name: read_statement_texts
-- The texts of a few statements, our own left out; cut only beyond what is still parsed.
SELECT DISTINCT ON (s.userid, s.queryid) s.userid::bigint AS userid, s.queryid, left(s.query, 50001) AS query
FROM {extension}.pg_stat_statements(true) s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.queryid = ANY(%(queryids)s::bigint[])
  AND NOT (s.query LIKE '/* stanch */%%' AND r.rolname = session_user)
ORDER BY s.userid, s.queryid

-- name: read_database_work
-- What the database did since its counters began, and when that was: a server that never reset them says nothing, so
-- its start stands for it.
SELECT d.datname::text AS database, d.xact_commit AS commits, d.xact_rollback AS rollbacks, d.tup_inserted AS inserted,
       d.tup_updated AS updated, d.tup_deleted AS deleted, d.temp_files, d.temp_bytes, d.stats_reset AS reset_at,
       extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 AS counted_s,
       (SELECT count(*) FROM pg_stat_replication)::int AS standbys
FROM pg_stat_database d WHERE d.datname = current_database()

-- name: read_busy_sessions
-- Which applications are at work; looked at several times over a window.
SELECT a.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, 'hidden') AS state, a.query_start, a.backend_type IS NOT NULL AS visible
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (a.backend_type = 'client backend' OR a.backend_type IS NULL)
  AND left(a.application_name, length(%(own)s)) <> %(own)s

-- name: read_role_settings
-- Settings of roles, in all databases (database NULL) or one.
SELECT r.rolname::text AS role, d.datname::text AS database, split_part(c.setting, '=', 1) AS setting,
       substr(c.setting, strpos(c.setting, '=') + 1) AS value
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE s.setdatabase = 0 OR d.datname = current_database()
ORDER BY 1, 2, 3
LIMIT 1000

-- name: read_invalid_indexes
-- Not valid and nobody at it, largest first. Indexes of partitioned tables (relkind I) wait for their parts. plain: on
-- columns alone, so that its columns and method are all there is to say of it. hidden_builds: builds of which we are
-- shown no more than the pid.
SELECT n.nspname::text AS schema, t.relname::text AS "table", x.relname::text AS name, m.amname::text AS method,
       ARRAY(SELECT k.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS p(position)
             LEFT JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[p.position] AND k.attnum > 0
             ORDER BY p.position) AS columns,
       i.indisready AS ready, i.indisunique AS "unique", pg_get_indexdef(i.indexrelid) AS definition,
       i.indexprs IS NULL AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts AS plain,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       (SELECT count(*) FROM pg_stat_progress_create_index p
        WHERE p.datname = current_database() AND p.relid IS NULL) AS hidden_builds
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_am m ON m.oid = x.relam
WHERE NOT i.indisvalid AND x.relkind = 'i'
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY i.indisready DESC, x.relpages DESC
LIMIT 50

-- name: read_unused_indexes
-- Indexes that no scan has used since the counters began, largest first, from a megabyte on. Left out: those that keep
-- something true (unique, constraint, replica identity), the order of CLUSTER, parts of a partitioned index, and those
-- that a foreign key's checks look their rows up by. The cheap conditions are looked at first, for all indexes.
WITH large AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relam, c.relpages, c.reloptions, c.relnamespace FROM pg_class c
    WHERE c.relkind = 'i' AND NOT c.relispartition AND c.relpersistence <> 't'
      AND c.relpages >= 1048576 / current_setting('block_size')::int
      AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'pg_toast'))
      AND pg_stat_get_numscans(c.oid) = 0
)
SELECT b.indexrelid::bigint AS index_id, b.indrelid::bigint AS relid, n.nspname::text AS schema,
       t.relname::text AS "table", x.relname::text AS name, m.amname::text AS method,
       ARRAY(SELECT k.attname::text FROM generate_series(0, b.indnkeyatts - 1) AS p(position)
             LEFT JOIN pg_attribute k ON k.attrelid = b.indrelid AND k.attnum = b.indkey[p.position] AND k.attnum > 0
             ORDER BY p.position) AS columns,
       pg_get_indexdef(b.indexrelid) AS definition,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       b.indexprs IS NULL AND b.indpred IS NULL AND b.indnatts = b.indnkeyatts AND x.reloptions IS NULL
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indoption::int2[]) AS o WHERE o <> 0)
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indclass::oid[]) AS c JOIN pg_opclass p ON p.oid = c
                       WHERE NOT p.opcdefault)
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indkey::int2[], b.indcollation::oid[]) AS c(attnum, sorted_by)
                       JOIN pg_attribute k ON k.attrelid = b.indrelid AND k.attnum = c.attnum
                       WHERE k.attcollation <> c.sorted_by) AS plain
FROM large x JOIN pg_index b ON b.indexrelid = x.oid JOIN pg_class t ON t.oid = b.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = x.relam
WHERE b.indisvalid AND b.indisready AND NOT b.indisunique AND NOT b.indisexclusion AND NOT b.indisreplident
  AND NOT b.indisclustered AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = b.indexrelid)
  AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.contype = 'f' AND c.conrelid = b.indrelid
                  AND (b.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
ORDER BY x.relpages DESC
LIMIT 50

-- name: read_duplicate_indexes
-- Indexes that another one of their table makes superfluous: the same keys in the same way, or (btree) the beginning of
-- the other's keys. Of two equal ones the younger is the superfluous one, unless only the older may go.
WITH pair AS MATERIALIZED (
    SELECT a.indexrelid AS a_id, b.indexrelid AS b_id
    FROM pg_index b JOIN pg_index a ON a.indrelid = b.indrelid AND a.indexrelid <> b.indexrelid
                                   AND a.indkey[0] = b.indkey[0]
    WHERE b.indisvalid AND b.indisready AND a.indisvalid AND a.indisready
      AND NOT b.indisunique AND NOT b.indisexclusion AND NOT b.indisreplident AND NOT b.indisclustered
      AND a.indnkeyatts >= b.indnkeyatts
      AND (a.indkey::int2[])[0:b.indnatts - 1] = (b.indkey::int2[])[0:b.indnatts - 1]
      AND (a.indclass::oid[])[0:b.indnkeyatts - 1] = (b.indclass::oid[])[0:b.indnkeyatts - 1]
      AND (a.indcollation::oid[])[0:b.indnkeyatts - 1] = (b.indcollation::oid[])[0:b.indnkeyatts - 1]
      AND (a.indoption::int2[])[0:b.indnkeyatts - 1] = (b.indoption::int2[])[0:b.indnkeyatts - 1]
      AND coalesce(pg_get_expr(a.indpred, a.indrelid), '') = coalesce(pg_get_expr(b.indpred, b.indrelid), '')
      AND coalesce(pg_get_expr(a.indexprs, a.indrelid), '') = coalesce(pg_get_expr(b.indexprs, b.indrelid), '')
)
SELECT DISTINCT ON (b.indexrelid) b.indexrelid::bigint AS index_id, b.indrelid::bigint AS relid,
       n.nspname::text AS schema, t.relname::text AS "table", x.relname::text AS name, m.amname::text AS method,
       ARRAY(SELECT k.attname::text FROM generate_series(0, b.indnkeyatts - 1) AS p(position)
             LEFT JOIN pg_attribute k ON k.attrelid = b.indrelid AND k.attnum = b.indkey[p.position] AND k.attnum > 0
             ORDER BY p.position) AS columns,
       pg_get_indexdef(b.indexrelid) AS definition, ax.relname::text AS kept,
       pg_get_indexdef(a.indexrelid) AS kept_definition,
       a.indnkeyatts = b.indnkeyatts AND a.indnatts = b.indnatts AS equal,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       b.indexprs IS NULL AND b.indpred IS NULL AND b.indnatts = b.indnkeyatts AND x.reloptions IS NULL
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indoption::int2[]) AS o WHERE o <> 0)
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indclass::oid[]) AS c JOIN pg_opclass p ON p.oid = c
                       WHERE NOT p.opcdefault)
       AND NOT EXISTS (SELECT 1 FROM unnest(b.indkey::int2[], b.indcollation::oid[]) AS c(attnum, sorted_by)
                       JOIN pg_attribute k ON k.attrelid = b.indrelid AND k.attnum = c.attnum
                       WHERE k.attcollation <> c.sorted_by) AS plain
FROM pair JOIN pg_index b ON b.indexrelid = pair.b_id JOIN pg_index a ON a.indexrelid = pair.a_id
JOIN pg_class x ON x.oid = b.indexrelid JOIN pg_class ax ON ax.oid = a.indexrelid JOIN pg_am m ON m.oid = x.relam
JOIN pg_class t ON t.oid = b.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE ax.relam = x.relam AND x.relkind = 'i' AND NOT x.relispartition AND t.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
  AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = b.indexrelid)
  AND ((a.indnkeyatts = b.indnkeyatts AND a.indnatts = b.indnatts
        AND (a.indexrelid < b.indexrelid OR a.indisunique OR a.indisexclusion OR a.indisreplident OR a.indisclustered))
       OR (m.amname = 'btree' AND a.indnkeyatts > b.indnkeyatts AND b.indnatts = b.indnkeyatts
           AND b.indexprs IS NULL))
ORDER BY b.indexrelid, a.indnkeyatts, a.indexrelid
LIMIT 50

-- name: read_large_indexes
-- The largest btree indexes, with what their keys take by the statistics: NULL where those are not shown to us. They
-- could be rebuilt concurrently: no exclusion constraint, no system table.
SELECT i.indexrelid::bigint AS index_id, n.nspname::text AS schema, t.relname::text AS "table",
       x.relname::text AS name, x.reltuples::float8 AS rows, t.reltuples::float8 AS table_rows,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       (SELECT CASE WHEN count(*) = i.indnatts THEN sum(s.avg_width) END
        FROM unnest(i.indkey::int2[]) AS k(attnum)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = a.attname
                       AND NOT s.inherited)::int AS key_bytes
FROM (SELECT c.* FROM pg_class c JOIN pg_am m ON m.oid = c.relam
      WHERE c.relkind = 'i' AND m.amname = 'btree' AND c.relpersistence = 'p' AND c.relpages >= 128
        AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'pg_toast'))
      ORDER BY c.relpages DESC LIMIT 50) x
JOIN pg_index i ON i.indexrelid = x.oid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.indisvalid AND i.indisready AND NOT i.indisexclusion
ORDER BY x.relpages DESC

-- name: read_index_density
-- pgstattuple: how full the leaf pages of a few indexes are, in percent. Reads each index from end to end.
SELECT x.oid::bigint AS index_id, d.avg_leaf_density::float8 AS leaf_density, d.index_size AS bytes
FROM pg_class x CROSS JOIN LATERAL {extension}.pgstatindex(x.oid::regclass) d
WHERE x.oid = ANY(%(index_ids)s::bigint[]::oid[]) AND x.relkind = 'i'

-- name: read_sequences
-- Sequences that fill a column of 4 bytes or less, or are that small themselves, by the size of their table. Asking one
-- for its value locks it, so no more than some hundreds. last_value is NULL when never used or, with readable false,
-- not ours to see.
SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqmin AS smallest, s.seqincrement AS increment,
       s.seqcycle AS cycles, format_type(s.seqtypid, NULL) AS type,
       least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                       ELSE s.seqmax END) AS largest,
       tn.nspname::text AS table_schema, t.relname::text AS "table", a.attname::text AS "column",
       format_type(a.atttypid, NULL) AS column_type, t.reltuples::float8 AS rows,
       has_sequence_privilege(c.oid, 'SELECT, USAGE') AS readable,
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid::regclass) END AS last_value
FROM (SELECT s.*, d.refobjid, d.refobjsubid
      FROM pg_sequence s
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
                           AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      LEFT JOIN pg_class t ON t.oid = d.refobjid
      WHERE s.seqmax <= 2147483647 OR a.atttypid IN ('int2'::regtype, 'int4'::regtype)
      ORDER BY t.reltuples DESC NULLS LAST LIMIT 300) s
JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = s.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = s.refobjid AND a.attnum = s.refobjsubid
WHERE c.relpersistence <> 't'

-- name: read_foreign_keys_without_index
-- Foreign keys of larger tables whose columns lead no valid, complete index: a delete in the parent then reads the whole
-- child. Of partitioned tables the partitions are listed, on either side: they are what is read and built on.
SELECT c.conname::text AS name, c.conrelid::bigint AS relid, n.nspname::text AS schema, t.relname::text AS "table",
       t.reltuples::float8 AS rows, t.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, position)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
       c.confrelid::bigint AS parent_relid, pn.nspname::text AS parent_schema, p.relname::text AS parent
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.contype = 'f' AND t.relkind = 'r' AND p.relkind = 'r' AND t.reltuples >= 10000
  AND NOT EXISTS (
    SELECT 1 FROM pg_index i
    WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
      AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
ORDER BY t.relpages DESC
LIMIT 50

-- name: read_table_indexes
-- The indexes of a few tables, the youngest last. keeps: it keeps something true, or in order.
SELECT i.indexrelid::bigint AS index_id, i.indrelid::bigint AS relid, n.nspname::text AS schema,
       t.relname::text AS "table", x.relname::text AS name, m.amname::text AS method, k.columns,
       pg_get_indexdef(i.indexrelid) AS definition, coalesce(u.idx_scan, 0) AS idx_scan,
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes,
       i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indisclustered OR x.relispartition
       OR EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid) AS keeps,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) AS c(attnum)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.attnum
             UNION
             SELECT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass
               AND d.refobjid = i.indrelid AND d.refobjsubid > 0) AS depends_on,
       i.indexprs IS NULL AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts AND x.reloptions IS NULL
       AND NOT EXISTS (SELECT 1 FROM unnest(i.indoption::int2[]) AS o WHERE o <> 0)
       AND NOT EXISTS (SELECT 1 FROM unnest(i.indclass::oid[]) AS c JOIN pg_opclass p ON p.oid = c
                       WHERE NOT p.opcdefault)
       AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS c(attnum, sorted_by)
                       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.attnum
                       WHERE a.attcollation <> c.sorted_by) AS plain
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = x.relam
LEFT JOIN pg_stat_user_indexes u ON u.indexrelid = i.indexrelid
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY p.position) AS columns
    FROM generate_series(0, i.indnkeyatts - 1) AS p(position)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.position] AND a.attnum > 0) k
WHERE i.indrelid = ANY(%(relids)s::bigint[]::oid[]) AND i.indisvalid AND i.indisready
ORDER BY i.indexrelid
LIMIT 500

-- name: read_relation_shapes
-- What a rewrite may rely on: columns with whether they are never NULL, and keys. A parent of inheritance promises
-- nothing for its children, and from 18 on a NOT NULL may be there without having been checked.
SELECT n.nspname::text AS schema, c.relname::text AS "table",
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       ARRAY(SELECT a.attnotnull AND NOT c.inherits AND NOT EXISTS (
                        SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
                        AND a.attnum = ANY (k.conkey))
             FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS not_null,
       ARRAY(SELECT CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'int'
                         WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND l.collisdeterministic THEN 'text'
                         WHEN a.atttypid IN ('numeric'::regtype, 'uuid'::regtype, 'bool'::regtype, 'date'::regtype)
                         THEN (SELECT t.typname::text FROM pg_type t WHERE t.oid = a.atttypid)
                         WHEN a.atttypid = 'timestamp'::regtype THEN 'timestamp'
                         WHEN a.atttypid = 'timestamptz'::regtype THEN 'timestamptz'
                         ELSE '' END
             FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS families,
       coalesce((SELECT jsonb_agg(u.names) FROM (
           SELECT jsonb_agg(a.attname ORDER BY p.position) AS names
           FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS p(position)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.position]
           WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
             AND i.indexprs IS NULL AND NOT c.inherits
           GROUP BY i.indexrelid HAVING bool_and(a.attnotnull)) u), '[]')::text AS keys
FROM (SELECT c.*, c.relkind <> 'p' AND c.relhassubclass AS inherits FROM pg_class c WHERE c.relkind IN ('r', 'p')) c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(%(schemas)s::text[], %(tables)s::text[]) AS wanted(schema, "table")
  ON wanted.schema = n.nspname AND wanted."table" = c.relname

-- name: read_column_values
-- The most common value of a column with its share, and one that is rare: an end of the histogram, or the least common of
-- those listed.
SELECT s.attname::text AS "column", s.n_distinct::float8 AS n_distinct, (s.most_common_freqs)[1]::float8 AS common_share,
       (s.most_common_vals::text::text[])[1] AS common,
       coalesce((s.histogram_bounds::text::text[])[1],
                (s.most_common_vals::text::text[])[cardinality(s.most_common_freqs)]) AS rare
FROM pg_stats s
WHERE s.schemaname = %(schema)s AND s.tablename = %(table)s AND s.attname = ANY(%(columns)s) AND s.most_common_freqs IS NOT NULL
ORDER BY s.inherited

-- name: read_extended_statistics
-- Statistics over several columns of a table together.
SELECT s.stxname::text AS name,
       ARRAY(SELECT a.attname::text FROM unnest(s.stxkeys::int2[]) AS k(attnum)
             JOIN pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = k.attnum ORDER BY a.attname) AS columns
FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
ORDER BY 1
LIMIT 100
