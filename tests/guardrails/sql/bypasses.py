"""Ways to get something past a read-only guard: hand-written ones, and calls hidden in every place a call can stand."""

from __future__ import annotations

from pathlib import Path

CALLS = (
    "pg_sleep(10)",
    "pg_terminate_backend(1)",
    "pg_read_file('/etc/passwd')",
    "nextval('s')",
    "set_config('a.b', 'c', false)",
    "lo_import('/etc/passwd')",
    "query_to_xml('DELETE FROM t', true, true, '')",
    "dblink_exec('dbname=x', 'DROP TABLE t')",
    "my_function(1)",
)

PLACES = (
    "SELECT {call}",
    "SELECT 1, {call} AS x",
    "SELECT * FROM {call}",
    "SELECT * FROM {call} AS x",
    "SELECT * FROM t, LATERAL {call} x",
    "SELECT * FROM ROWS FROM ({call}) x",
    "SELECT * FROM ROWS FROM (now(), {call}) x",
    "SELECT * FROM t JOIN {call} x ON true",
    "VALUES ({call})",
    "VALUES (1), ({call})",
    "SELECT * FROM (VALUES ({call})) v",
    "SELECT (SELECT {call})",
    "SELECT ARRAY[{call}]",
    "SELECT ARRAY(SELECT {call})",
    "SELECT ROW({call})",
    "SELECT ({call}, 1)",
    "SELECT CASE WHEN true THEN {call} END",
    "SELECT CASE {call} WHEN 1 THEN 2 END",
    "SELECT coalesce({call}, 1)",
    "SELECT now() FROM t WHERE {call} IS NULL",
    "SELECT 1 FROM t WHERE a IN (SELECT {call})",
    "SELECT 1 FROM t WHERE EXISTS (SELECT {call})",
    "SELECT 1 FROM t WHERE a = ANY (ARRAY[{call}])",
    "SELECT 1 FROM t WHERE a BETWEEN 1 AND {call}",
    "SELECT 1 FROM t GROUP BY {call}",
    "SELECT count(*) FROM t HAVING {call} IS NULL",
    "SELECT 1 FROM t ORDER BY {call}",
    "SELECT 1 FROM t LIMIT {call}",
    "SELECT 1 FROM t OFFSET {call}",
    "SELECT 1 FROM t FETCH FIRST ({call}) ROWS ONLY",
    "SELECT count(*) FILTER (WHERE {call} IS NULL) FROM t",
    "SELECT sum(a) OVER (PARTITION BY {call}) FROM t",
    "SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY {call})",
    "SELECT string_agg(a, 'x' ORDER BY {call}) FROM t",
    "WITH x AS (SELECT {call}) SELECT * FROM x",
    "WITH x AS MATERIALIZED (SELECT {call}) SELECT 1",
    "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT {call}) SELECT * FROM x",
    "SELECT 1 UNION SELECT {call}",
    "(SELECT {call})",
    "SELECT CAST({call} AS text)",
    "SELECT {call}::text",
    "SELECT DISTINCT ON ({call}) 1 FROM t",
    "SELECT * FROM t TABLESAMPLE system ({call})",
    "SELECT extract(epoch FROM {call})",
    "SELECT substring('a' FROM {call})",
    "SELECT a[{call}] FROM t",
    "SELECT NOT {call}",
    "SELECT - {call}",
    "SELECT 1 WHERE 1 = 1 AND {call} IS NOT NULL",
    "EXPLAIN ANALYZE SELECT {call}",
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT {call}",
    "EXPLAIN SELECT {call}",
    "SELECT/**/{call}",
    "SELECT /* /* nested */ */ {call}",
    "SELECT --\n{call}",
    "SELECT\r\n\t{call}",
    "select {call};",
)

WRITTEN = r"""
SELECT * FROM (SELECT 1) AS sha2(a), LATERAL (SELECT sha2(a)) z
SELECT 1, sha2(a) FROM (SELECT 1) sha2(a)
SELECT 1, sha2(a) AS (b) FROM (SELECT 1) sha2(a)
SELECT * FROM (SELECT 1) sha2(a), LATERAL sha2(a) AS (b int)
SELECT sum(1) OVER (ORDER BY a ROWS sha2(a) PRECEDING) FROM (SELECT 1) sha2(a)
SELECT sum(1) OVER (ORDER BY a RANGE levenshtein(a) PRECEDING) FROM (SELECT 1) levenshtein(a)
SELECT 1 FROM (SELECT 1) sha2(a) WHERE a LIKE b ESCAPE sha2(a)
SELECT now() AT TIME ZONE sha2(a) FROM (SELECT 'x') sha2(a)
WITH sha2(a) AS (SELECT 1) SELECT sha2(a) FROM sha2
SELECT json_object('k' VALUE sha2(a)) FROM (SELECT 1) sha2(a)
SELECT json_objectagg('k' VALUE sha2(a)) FROM (SELECT 1) sha2(a)
SELECT json_object('k' VALUE sha2(a)) FROM (SELECT 1) sha2(a), (SELECT 2) sha2
SELECT * FROM (SELECT 1) sha2(a), sha2(a) AS (values int)
SELECT * FROM (SELECT 1) sha2(a), sha2(a) AS (update int)
SELECT * FROM (SELECT 1) sha2(a), sha2(a) AS (insert int)
SELECT * FROM (SELECT 1) levenshtein(a, b), levenshtein(a, b) AS (merge int)
SELECT * FROM (SELECT 1) sha2(a), sha2(a) AS materialized (a)
SELECT * FROM (SELECT 1) sha2(a) NATURAL JOIN sha2(a)
SELECT * FROM (SELECT 1) sha2(a) CROSS JOIN sha2(a) x
SELECT CASE a WHEN 1 THEN sha2(a) END FROM (SELECT 1) sha2(a)
SELECT a FROM (SELECT 1) sha2(a) ORDER BY a USING <, sha2(a)
SELECT DISTINCT sha2(a) FROM (SELECT 1) sha2(a)
SELECT a FROM (SELECT 1) sha2(a) WINDOW w AS (PARTITION BY sha2(a))
WITH sha2(a) AS (SELECT 1) SELECT 1 FROM sha2, sha2(a) AS (SELECT int)
DELETE FROM t
INSERT INTO t VALUES (1)
UPDATE t SET a = 1
MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE
TRUNCATE t
DROP TABLE t
CREATE TABLE x (a int)
CREATE TEMP TABLE x AS SELECT 1
ALTER TABLE t ADD x int
GRANT ALL ON t TO PUBLIC
COPY t TO STDOUT
COPY t TO PROGRAM 'sh'
COPY (SELECT 1) TO '/tmp/x'
VACUUM t
ANALYZE t
REINDEX TABLE t
CLUSTER t
CLUSTER
CHECKPOINT
ABORT
BEGIN
COMMIT
ROLLBACK
END
START TRANSACTION
SAVEPOINT x
PREPARE x AS SELECT 1
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'
EXECUTE x
DEALLOCATE ALL
DECLARE c CURSOR WITH HOLD FOR SELECT 1
FETCH ALL FROM c
CLOSE c
MOVE c
LISTEN x
NOTIFY x
UNLISTEN *
LOAD 'x'
DISCARD ALL
SET work_mem = '1GB'
SET ROLE postgres
SET SESSION AUTHORIZATION postgres
SET TRANSACTION READ WRITE
SET LOCAL search_path = evil
RESET ALL
RESET ROLE
LOCK TABLE t
LOCK t IN ACCESS SHARE MODE
DO $$ BEGIN DELETE FROM t; END $$
CALL p()
COMMENT ON TABLE t IS 'x'
SECURITY LABEL ON TABLE t IS 'x'
REFRESH MATERIALIZED VIEW mv
REASSIGN OWNED BY a TO b
DROP OWNED BY a
IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y
ALTER SYSTEM SET fsync = off
CREATE EXTENSION dblink
REPACK t
SELECT 1; DELETE FROM t
SELECT 1; SELECT 2
SELECT 1;; SELECT 2
COMMIT; DROP TABLE t
; ; DELETE FROM t
SELECT * INTO n FROM t
SELECT a INTO TEMP n FROM t
SELECT a INTO UNLOGGED TABLE n FROM t
WITH x AS (SELECT 1) SELECT * INTO n FROM x
SELECT * FROM t FOR UPDATE
SELECT * FROM t FOR NO KEY UPDATE
SELECT * FROM t FOR SHARE NOWAIT
SELECT * FROM t FOR KEY SHARE SKIP LOCKED
SELECT * FROM (SELECT * FROM t FOR UPDATE) x
WITH x AS (SELECT * FROM t FOR UPDATE) SELECT * FROM x
WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x
WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x
WITH x AS (UPDATE t SET a = 1 RETURNING *) TABLE x
WITH x AS MATERIALIZED (DELETE FROM t RETURNING *) SELECT 1
WITH x AS (MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1
WITH x AS (WITH y AS (DELETE FROM t RETURNING *) SELECT * FROM y) SELECT 1
WITH x AS (SELECT 1) DELETE FROM t
WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x
WITH x AS (SELECT 1) UPDATE t SET a = 1
EXPLAIN DELETE FROM t
EXPLAIN ANALYZE DELETE FROM t
EXPLAIN (ANALYZE) INSERT INTO t VALUES (1)
EXPLAIN ANALYZE VERBOSE UPDATE t SET a = 1
EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1
EXPLAIN ANALYZE EXECUTE x
EXPLAIN EXPLAIN SELECT 1
EXPLAIN (ANALYZE) (ANALYZE) SELECT 1
EXPLAIN (EVIL) SELECT 1
EXPLAIN
SELECT U&"pg\005fsleep"(10)
SELECT U&'\0041'
SELECT u&"x"
SELECT U&"!0041" UESCAPE '!'
SELECT "pg_sleep"(10)
SELECT pg_catalog.pg_sleep(10)
SELECT "pg_catalog"."pg_sleep"(10)
SELECT pg_catalog . pg_sleep (10)
SELECT PG_SLEEP(10)
SELECT Pg_Sleep (10)
SELECT public.lower('x')
SELECT evil.now()
SELECT db.pg_catalog.now()
SELECT (10.0::float8).pg_sleep
SELECT ('x'::text).pg_read_file
SELECT (1).pg_terminate_backend
SELECT ((1)).pg_cancel_backend
SELECT (ARRAY[1])[1].pg_terminate_backend
SELECT g.pg_terminate_backend FROM generate_series(1, 1) g
SELECT g."pg_terminate_backend" FROM generate_series(1, 1) g
SELECT (g).pg_sleep FROM generate_series(1, 1) g
SELECT x.pg_ls_dir FROM (SELECT '/') x
SELECT 1 OPERATOR(public.+) 2
SELECT 1 OPERATOR(pg_catalog.+) 2
SELECT a @@@@ b FROM t
SELECT a <~~~> b FROM t
SELECT a === b FROM t
SELECT 'x'::my_type
SELECT my_type 'x'
SELECT "my_type" 'x'
SELECT s.my_type 'x'
SELECT CAST('x' AS my_type)
SELECT CAST('x' AS s.my_type)
SELECT 'x'::s.my_type
SELECT 'x'::"evil type"
SELECT ARRAY['x']::my_type[]
SELECT NULL::my_domain
SELECT jsonb_populate_record(NULL::my_type, '{}')
SELECT * FROM pg_authid
SELECT rolpassword FROM pg_catalog.pg_authid
SELECT * FROM "pg_authid"
SELECT * FROM PG_AUTHID
SELECT * FROM pg_shadow
SELECT * FROM pg_user_mapping
SELECT * FROM pg_user_mappings
SELECT * FROM information_schema.user_mapping_options
SELECT subconninfo FROM pg_subscription
SELECT * FROM pg_hba_file_rules
SELECT * FROM pg_file_settings
SELECT * FROM pg_largeobject
SELECT * FROM pg_statistic
TABLE pg_authid
TABLE pg_catalog.pg_shadow
WITH x AS (TABLE pg_authid) SELECT * FROM x
SELECT (SELECT string_agg(rolpassword, ',') FROM pg_authid)
SELECT pg_shadow FROM pg_shadow
SHOW primary_conninfo
SHOW ssl_passphrase_command
SHOW
SELECT current_setting('primary_conninfo')
SELECT current_setting('primary' || '_conninfo')
SELECT current_setting(name) FROM pg_settings
SELECT pg_catalog.current_setting('primary_conninfo')
SELECT table_to_xml('pg_authid', true, true, '')
SELECT schema_to_xml('pg_catalog', true, true, '')
SELECT database_to_xml(true, true, '')
SELECT ts_stat('DELETE FROM t')
SELECT ts_rewrite('a'::tsquery, 'DELETE FROM t')
SELECT * FROM crosstab('DELETE FROM t') AS x (a int)
SELECT * FROM dblink('x', 'DELETE FROM t') AS x (a int)
SELECT * FROM t TABLESAMPLE evil (10)
SELECT pg_advisory_lock(1)
SELECT pg_try_advisory_xact_lock(1)
SELECT pg_export_snapshot()
SELECT pg_logical_emit_message(true, 'a', 'b')
SELECT txid_current()
SELECT pg_current_xact_id()
SELECT pg_notify('a', 'b')
SELECT pg_switch_wal()
SELECT pg_reload_conf()
SELECT pg_stat_reset()
SELECT pg_stat_statements_reset()
SELECT lo_create(0)
SELECT lo_unlink(1)
SELECT setval('s', 1)
SELECT setseed(0.5)
SELECT pg_promote()
SELECT pg_create_restore_point('x')
SELECT pg_drop_replication_slot('x')
SELECT pg_replication_slot_advance('x', '0/0')
SELECT pg_logical_slot_get_changes('x', NULL, NULL)
SELECT pg_rotate_logfile()
SELECT pg_ls_dir('/')
SELECT pg_stat_file('/etc/passwd')
SELECT pg_read_binary_file('/etc/passwd')
SELECT lo_export(1, '/tmp/x')
SELECT hypopg_create_index('CREATE INDEX ON t (a)')
SELECT xmlparse(DOCUMENT '<a/>')
SELECT * FROM xmltable('/a' PASSING x COLUMNS a int)
SELECT over(1)
SELECT filter(1)
SELECT materialized(1)
SELECT repeatable(1)
SELECT 1 FROM x pg_sleep(1)
SELECT join('x')
SELECT first(1)
SELECT 1 FROM t GROUP BY tablesample(1)
SELECT * FROM rows(1)
SELECT (filter('x'))
SELECT 1, overlaps(1)
SELECT 1 WHERE verbose(1)
SELECT -binary(1)
SELECT f(a) FROM t AS f(a)
SELECT pg_sleep(x) FROM (SELECT 1) AS pg_sleep(x)
WITH pg_sleep(a) AS (SELECT 1) SELECT pg_sleep(a) FROM pg_sleep
SELECT 'a
SELECT "a
SELECT $$a
SELECT $x$a$y$
SELECT /* a
SELECT /* /* a */
SELECT 'a\' || pg_sleep(1) || '
SELECT E'a\' || pg_sleep(1)
SELECT (1
SELECT 1)
SELECT [1
SELECT ((1)
SELECT 1abc
SELECT $1abc
SELECT 1 \gexec
\! sh
SELECT `x`
SELECT @x := 1
SELECT 1 INTO OUTFILE 'x'
SELECT * FROM t INTO n
PRAGMA x
USE x
KILL 1
ATTACH DATABASE 'x' AS y
SHOW TABLES FROM x; DROP TABLE t
DESCRIBE t
REPLACE INTO t VALUES (1)
WITH
SELECT FROM WHERE
VALUES
TABLE
(DELETE FROM t)
((INSERT INTO t VALUES (1)))
t
1
*
""".strip().splitlines()

CHARACTERS = (
    "SELECT 1\0; DELETE FROM t",
    "SELECT '\0'",
    "\ufeffSELECT 1",
    "SELECT\u00a0pg_sleep(1)",
    "SELECT pg\u200b_sleep(1)",
    "SELECT pg_\u0455leep(1)",
    "SELECT \u202epg_sleep(1)\u202c",
    "SELECT \u2066pg_sleep(1)\u2069",
    "SELECT \uff50\uff47_sleep(1)",
    "SELECT '\ud800'",
    "SELECT \udfff",
    "SELECT 1 -- \x85 pg_sleep",
    "SELECT 1\u2028; DELETE FROM t",
    "SELECT \u2018x\u2019",
    "SELECT pg_sleep\uff08 1 \uff09",
    "SELECT \x1b[2Jpg_sleep(1)",
    "SELECT 1\x7f",
    "",
    " ",
    ";",
    "-- only a comment",
    "/* only a comment */",
    "SELECT 1;" * 10_000,
    "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "SELECT '" + "a" * 1_100_000 + "'",
    "SELECT " + "NOT " * 10_000 + "true",
    "SELECT " + "- " * 10_000 + "1",
    "SELECT " + "1," * 40_000 + "1",
    "SELECT " + "CASE WHEN true THEN " * 10_000 + "1" + " END" * 10_000,
    "EXPLAIN " * 10_000 + "SELECT 1",
    "/*" * 10_000 + "*/" * 10_000,
    "SELECT " + "ARRAY[" * 50 + "1" + "]" * 50,
)

BYPASSES = (*WRITTEN, *(place.format(call=call) for call in CALLS for place in PLACES), *CHARACTERS)

_DIAGNOSIS = """
SELECT 1
SELECT version()
SELECT now(), current_database(), current_user, pg_backend_pid()
SHOW server_version
SHOW ALL
TABLE pg_stat_activity
VALUES (1, 'a'), (2, 'b')
SELECT pid, state, wait_event_type, query FROM pg_stat_activity WHERE state <> 'idle' ORDER BY query_start
SELECT pid, now() - xact_start AS age FROM pg_stat_activity WHERE now() - xact_start > interval '5 minutes'
SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0
SELECT l.locktype, l.mode, l.granted, c.relname FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database ORDER BY 2 DESC
SELECT relname, n_live_tup, n_dead_tup, round(100.0 * n_dead_tup / nullif(n_live_tup, 0), 1) FROM pg_stat_user_tables
SELECT schemaname || '.' || relname AS t, seq_scan, idx_scan FROM pg_stat_user_tables WHERE seq_scan > 1000
SELECT indexrelid::regclass, idx_scan FROM pg_stat_user_indexes WHERE idx_scan = 0
SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid
SELECT pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' ORDER BY pg_relation_size(oid) DESC
SELECT slot_name, active, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots
SELECT client_addr, state, write_lag, flush_lag, replay_lag FROM pg_stat_replication
SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn(), now() - pg_last_xact_replay_timestamp()
SELECT count(*), sum(size) FROM pg_ls_waldir()
SELECT * FROM pg_stat_bgwriter
SELECT datname, blks_hit::float / nullif(blks_hit + blks_read, 0) AS ratio FROM pg_stat_database
SELECT queryid, calls, mean_exec_time, left(query, 80) FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10
SELECT * FROM public.pg_stat_statements(true) WHERE calls > 10
SELECT * FROM pgstattuple('public.orders')
SELECT avg_leaf_density FROM pgstatindex('orders_pkey')
SELECT * FROM pg_stat_progress_create_index
SELECT name, setting, unit FROM pg_settings WHERE name IN ('work_mem', 'shared_buffers')
SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity
SELECT state, count(*) FROM pg_stat_activity GROUP BY state HAVING count(*) > 5
SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) FROM pg_stat_activity
SELECT date_trunc('minute', at) AS m, percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) FROM requests GROUP BY 1
SELECT sum(n) OVER (ORDER BY at ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) FROM x
SELECT row_number() OVER (PARTITION BY a ORDER BY b), lag(b, 1) OVER w FROM t WINDOW w AS (ORDER BY b NULLS LAST)
WITH RECURSIVE tree AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM tree WHERE n < 10) SELECT * FROM tree
WITH x AS MATERIALIZED (SELECT * FROM t WHERE a = $1) SELECT x.*, o.b FROM x LEFT JOIN o USING (id)
WITH x (a, b) AS (VALUES (1, 2)) SELECT a + b FROM x
SELECT * FROM generate_series(now() - interval '1 hour', now(), '1 minute') AS g (at)
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) WITH ORDINALITY AS u (a, b, n)
SELECT * FROM t CROSS JOIN LATERAL (SELECT max(b) AS m FROM o WHERE o.t_id = t.id) x
SELECT * FROM jsonb_to_recordset('[{"a":1}]') AS x (a int, b text)
SELECT data ->> 'a', data #>> '{a,b}', data @> '{"a": 1}', data ? 'x', data - 'b' FROM t
SELECT jsonb_agg(jsonb_build_object('id', id, 'n', count)) FROM x
SELECT extract(epoch FROM now() - query_start), to_char(now(), 'YYYY-MM-DD') FROM pg_stat_activity
SELECT now() AT TIME ZONE 'UTC', timestamp '2026-01-01', date '2026-01-01' + 1, time '12:00'
SELECT CASE WHEN a > 1 THEN 'x' WHEN a IS NULL THEN 'y' ELSE 'z' END FROM t
SELECT coalesce(a, 0), nullif(b, ''), greatest(a, 1), least(b, 'x') FROM t
SELECT a::numeric(10, 2), b::varchar(20), CAST(c AS double precision), d::text[], e::"char" FROM t
SELECT * FROM t WHERE a = ANY ($1) AND b LIKE $2 ESCAPE '!' AND c BETWEEN $3 AND $4 LIMIT $5 OFFSET $6
SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4)) OR NOT EXISTS (SELECT FROM o WHERE o.id = t.id)
SELECT * FROM t WHERE b ILIKE '%x%' AND c ~* '^a.*z$' AND d SIMILAR TO 'x|y' AND e IS DISTINCT FROM f
SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b DESC
SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a), (b), ()) ORDER BY grouping(a)
SELECT a, count(*) FROM t GROUP BY ROLLUP (a, b)
SELECT a FROM t UNION ALL SELECT b FROM o EXCEPT SELECT c FROM p ORDER BY 1
SELECT * FROM t TABLESAMPLE system (1) REPEATABLE (42)
SELECT * FROM t TABLESAMPLE bernoulli (0.1)
SELECT * FROM ONLY t AS x (a, b)
SELECT t.*, (t).id, array_length(tags, 1), tags[1], tags[1:2] FROM t
SELECT substring(query FROM 1 FOR 50), trim(BOTH ' ' FROM a), position('x' IN b), overlay(c PLACING 'y' FROM 1) FROM t
SELECT string_agg(DISTINCT a, ', ' ORDER BY a) FROM t
SELECT left(a, 3), right(b, 3), md5(c), length(d), upper(e), regexp_replace(f, 'a', 'b', 'g') FROM t
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE NOT convalidated
SELECT pg_get_indexdef(indexrelid), pg_get_viewdef('v'::regclass), obj_description('t'::regclass) FROM pg_index
SELECT attname, n_distinct, correlation FROM pg_stats WHERE tablename = 'orders'
SELECT has_table_privilege('app', 'orders', 'SELECT'), pg_has_role('app', 'MEMBER')
SELECT seqrelid::regclass, last_value FROM pg_sequence JOIN pg_sequences ON true
SELECT to_regclass('public.orders') IS NOT NULL
SELECT * FROM pg_prepared_xacts WHERE prepared < now() - interval '1 hour'
SELECT pg_tablespace_location(oid), pg_database_size(datname) FROM pg_tablespace, pg_database
SELECT bool_or(a > 1), bool_and(b), every(c), stddev(d), corr(e, f) FROM t
SELECT array_agg(a ORDER BY b), array_to_string(array_agg(c), ',') FROM t
SELECT width_bucket(ms, 0, 1000, 10), count(*) FROM requests GROUP BY 1 ORDER BY 1
SELECT * FROM pg_stat_io WHERE object = 'relation'
SELECT txid_current_snapshot(), pg_snapshot_xmin(pg_current_snapshot())
SELECT pg_partition_tree('measurements')
SELECT host(client_addr), family(client_addr) FROM pg_stat_activity
EXPLAIN SELECT * FROM orders WHERE customer_id = 5
EXPLAIN (FORMAT JSON, VERBOSE) SELECT * FROM orders WHERE customer_id = $1
EXPLAIN (ANALYZE, BUFFERS, TIMING off) SELECT count(*) FROM orders
EXPLAIN ANALYZE VERBOSE SELECT 1
(SELECT 1) UNION (SELECT 2)
SELECT 1 -- a comment
SELECT /* a hint */ 1
SELECT 'it''s', E'tab\\t', $$dollar$$, B'101', X'ff', 1e5, .5, 1_000
SELECT "Odd Name"."Select" FROM "Odd Name"
SELECT DATE_TRUNC('day', created_at)::date AS day, COUNT(*) FROM orders GROUP BY 1 ORDER BY 1
SELECT interval '1 day' * 2, make_interval(days => 3)
SELECT * FROM information_schema.columns WHERE table_name = 'orders'
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = 'orders'::regclass
SELECT u.usename, d.datname FROM pg_user u, pg_database d
SELECT * FROM a JOIN (SELECT 1) b ON true LEFT JOIN (SELECT 2) c ON true WHERE x LIKE ('a' || '%') AND y NOT LIKE ('b')
SELECT (a, b) OVERLAPS (c, d), like('a', 'b') FROM t NATURAL JOIN (SELECT 1) x
SELECT similarity('a', 'b'), word_similarity('a', 'b')
SELECT c.reltuples::bigint, c.relpages FROM pg_class c WHERE c.oid = 'public.orders'::regclass
""".strip().splitlines()

DIAGNOSIS = (*_DIAGNOSIS, *Path(__file__).with_name("diagnosis.sql").read_text(encoding="utf-8").splitlines())
"""What a person or a tool asks a database about itself and its data."""
