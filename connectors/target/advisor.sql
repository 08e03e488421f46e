-- What the index advisor reads of a target's catalog. Sessions run with search_path = pg_catalog; {…} is an identifier
-- filled in by psycopg.sql, %(…)s a parameter. Versions 12 to 18.

-- name: whoami
-- Whose search path unqualified names are looked up on.
SELECT session_user::text AS "user"

-- name: extension_on_server
-- A row when the server has the extension's files, created here or not.
SELECT 1 AS there FROM pg_available_extensions WHERE name = %(extension)s

-- name: profiles
-- Tables by schema and name. Of a partitioned table rows, bytes and writes are those of its leaves, which are named;
-- its own reltuples is set by a manual ANALYZE only. reltuples is -1 from 14 on when never analysed, 0 before.
WITH wanted AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
  WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v')
), parts AS (
  SELECT w.oid AS parent, c.oid, n.nspname, c.relname, w.relkind = 'p' AS leaf, c.relpages, c.relkind,
         CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN NULL ELSE c.reltuples END AS rows
  FROM wanted w
  CROSS JOIN LATERAL (SELECT w.oid AS relid WHERE w.relkind <> 'p'
                      UNION ALL SELECT t.relid FROM pg_partition_tree(w.oid) t WHERE w.relkind = 'p' AND t.isleaf) l
  JOIN pg_class c ON c.oid = l.relid JOIN pg_namespace n ON n.oid = c.relnamespace
)
SELECT w.oid AS relid, w.nspname::text AS schema, w.relname::text AS "table", w.relkind::text AS kind,
       w.relpersistence = 't' AS temporary, sum(p.rows)::float8 AS rows,
       (coalesce(sum(p.relpages), 0) * current_setting('block_size')::bigint)::bigint AS bytes,
       coalesce(array_agg(p.nspname::text ORDER BY p.relname) FILTER (WHERE p.leaf), '{{}}') AS leaf_schemas,
       coalesce(array_agg(p.relname::text ORDER BY p.relname) FILTER (WHERE p.leaf), '{{}}') AS leaf_names,
       (array_agg(p.oid ORDER BY p.relpages DESC, p.oid))[1] AS largest,
       coalesce(sum(s.n_tup_ins), 0)::bigint AS inserts, coalesce(sum(s.n_tup_upd), 0)::bigint AS updates,
       coalesce(sum(s.n_tup_hot_upd), 0)::bigint AS hot_updates
FROM wanted w LEFT JOIN parts p ON p.parent = w.oid LEFT JOIN pg_stat_user_tables s ON s.relid = p.oid
GROUP BY w.oid, w.nspname, w.relname, w.relkind, w.relpersistence

-- name: profile_columns
-- Columns with their statistics; those of a partitioned table itself where it has any, else of its largest leaf. Common
-- values of short scalar types only, as text. pg_stats shows those of readable columns only.
WITH wanted AS (
  SELECT w.relid, w.largest, EXISTS (SELECT 1 FROM pg_stats s JOIN pg_class c ON c.oid = w.relid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited AND c.relkind = 'p') AS own
  FROM unnest(%(relids)s::oid[], %(largest)s::oid[]) AS w(relid, largest)
)
SELECT w.relid, a.attname::text AS name, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL) AS type,
       CASE WHEN a.attcollation = 0 THEN false
            WHEN o.collname = 'default' THEN d.datcollate IN ('C', 'POSIX')
            ELSE coalesce(o.collcollate IN ('C', 'POSIX'), false) END AS c_collation,
       s.n_distinct::float8 AS n_distinct, s.null_frac::float8 AS null_share, s.avg_width AS width_bytes,
       s.correlation::float8 AS correlation,
       CASE WHEN t.typcategory IN ('S', 'N', 'B', 'E', 'D') AND s.avg_width <= 64
            THEN s.most_common_vals::text::text[] END AS common_values,
       CASE WHEN t.typcategory IN ('S', 'N', 'B', 'E', 'D') AND s.avg_width <= 64
            THEN s.most_common_freqs::float8[] END AS common_shares
FROM wanted w
JOIN pg_attribute a ON a.attrelid = w.relid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation o ON o.oid = a.attcollation
JOIN pg_database d ON d.datname = current_database()
JOIN pg_class c ON c.oid = CASE WHEN w.own THEN w.relid ELSE coalesce(w.largest, w.relid) END
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                    AND s.inherited = w.own
ORDER BY w.relid, a.attnum

-- name: profile_indexes
-- Indexes key by key: text, plain column or NULL, operator class unless the type's default, DESC and NULLS FIRST bits.
SELECT i.indrelid AS relid, x.relname::text AS name, m.amname::text AS method,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, p.n, true) FROM generate_series(1, i.indnkeyatts) AS p(n)
             ORDER BY p.n) AS texts,
       ARRAY(SELECT k.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS p(n)
             LEFT JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[p.n] AND k.attnum > 0
             ORDER BY p.n) AS columns,
       ARRAY(SELECT CASE WHEN o.opcdefault THEN '' ELSE o.opcname::text END FROM generate_series(0, i.indnkeyatts - 1) AS p(n)
             JOIN pg_opclass o ON o.oid = i.indclass[p.n] ORDER BY p.n) AS opclasses,
       ARRAY(SELECT i.indoption[p.n]::int FROM generate_series(0, i.indnkeyatts - 1) AS p(n) ORDER BY p.n) AS options,
       ARRAY(SELECT k.attname::text FROM generate_series(i.indnkeyatts, i.indnatts - 1) AS p(n)
             JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[p.n] ORDER BY p.n) AS include,
       coalesce(pg_get_expr(i.indpred, i.indrelid, true), '') AS predicate,
       i.indisvalid AND i.indisready AS usable, i.indisunique AS "unique",
       x.relpages::bigint * current_setting('block_size')::bigint AS bytes
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = ANY(%(relids)s::oid[])
ORDER BY i.indrelid, x.relname

-- name: hypothetical_index
-- HypoPG: an index that exists for this session's EXPLAIN only, and its estimated size.
SELECT made.indexrelid, made.indexname, {extension}.hypopg_relation_size(made.indexrelid) AS bytes
FROM {extension}.hypopg_create_index(%(command)s) AS made

-- name: hypothetical_drop
-- HypoPG: forget some of them.
SELECT {extension}.hypopg_drop_index(relid) FROM unnest(%(relids)s::oid[]) AS gone(relid)

-- name: busiest
-- Statements of this database by the time they took, with who ran them and since when they are counted. Ours are known
-- by their mark.
SELECT s.queryid, left(s.query, %(chars)s) AS query, coalesce(r.rolname::text, s.userid::text) AS "user",
       sum(s.calls)::bigint AS calls, sum(s.{total_time})::float8 AS total_ms, sum(s.rows)::bigint AS rows
FROM {extension}.pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.queryid IS NOT NULL
  AND s.query !~* %(skipped)s AND s.query ~* %(wanted)s
GROUP BY s.queryid, s.query, r.rolname, s.userid
ORDER BY total_ms DESC
LIMIT %(statements)s
