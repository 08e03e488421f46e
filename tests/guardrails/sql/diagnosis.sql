SELECT schemaname, relname, seq_scan, seq_tup_read, idx_scan, seq_tup_read / greatest(seq_scan, 1) AS rows_per_scan FROM pg_stat_user_tables WHERE seq_scan > 0 ORDER BY seq_tup_read DESC LIMIT 20
SELECT s.relname, pg_size_pretty(pg_relation_size(s.relid)) AS size, s.n_live_tup, s.n_dead_tup, round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) AS dead_percent FROM pg_stat_user_tables s ORDER BY s.n_dead_tup DESC
SELECT indexrelid::regclass AS index, relid::regclass AS "table", idx_scan, pg_size_pretty(pg_relation_size(indexrelid)) FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid) WHERE idx_scan < 50 AND NOT indisunique ORDER BY pg_relation_size(indexrelid) DESC
SELECT a.pid, a.usename, a.state, now() - a.xact_start AS age, left(a.query, 100) AS query FROM pg_stat_activity a WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 10
SELECT blocked.pid AS blocked_pid, blocked.query AS blocked_query, blocking.pid AS blocking_pid, blocking.query AS blocking_query FROM pg_stat_activity blocked JOIN LATERAL unnest(pg_blocking_pids(blocked.pid)) AS b (pid) ON true JOIN pg_stat_activity blocking ON blocking.pid = b.pid
SELECT l.locktype, l.mode, l.granted, l.pid, c.relname, a.query, age(now(), a.query_start) AS age FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted ORDER BY age DESC
SELECT waiting.locktype, waiting.pid, other.pid AS other_pid, other.mode FROM pg_locks AS waiting JOIN pg_locks AS other ON waiting.database = other.database AND waiting.relation = other.relation AND waiting.pid <> other.pid WHERE NOT waiting.granted AND other.granted
WITH waits AS (SELECT pid, wait_event_type, wait_event FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend') SELECT coalesce(wait_event_type, 'CPU') AS kind, wait_event, count(*) FROM waits GROUP BY 1, 2 ORDER BY 3 DESC
SELECT backend_type, state, count(*), max(now() - state_change) FROM pg_stat_activity GROUP BY GROUPING SETS ((backend_type, state), ()) ORDER BY 3 DESC
SELECT datname, numbackends, xact_commit, xact_rollback, deadlocks, temp_files, pg_size_pretty(temp_bytes) FROM pg_stat_database WHERE datname = current_database()
SELECT sum(heap_blks_hit) / nullif(sum(heap_blks_hit) + sum(heap_blks_read), 0)::numeric AS ratio FROM pg_statio_user_tables
SELECT 'index hit rate' AS name, (sum(idx_blks_hit)) / nullif(sum(idx_blks_hit + idx_blks_read), 0) AS ratio FROM pg_statio_user_indexes UNION ALL SELECT 'table hit rate', sum(heap_blks_hit) / nullif(sum(heap_blks_hit) + sum(heap_blks_read), 0) FROM pg_statio_user_tables
SELECT queryid, left(query, 200) AS query, calls, round(total_exec_time::numeric, 1) AS total_ms, round((100 * total_exec_time / sum(total_exec_time) OVER ())::numeric, 2) AS share FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 25
SELECT substring(query, 1, 50) AS short_query, calls, mean_exec_time, stddev_exec_time, rows / nullif(calls, 0) AS rows_per_call FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 100 ORDER BY stddev_exec_time DESC
SELECT userid::regrole, sum(calls) AS calls, sum(shared_blks_read) AS read, sum(temp_blks_written) AS temp FROM pg_stat_statements GROUP BY userid HAVING sum(calls) > 0 ORDER BY 3 DESC
SELECT n.nspname AS schema, c.relname AS relation, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' WHEN 'm' THEN 'view' ELSE c.relkind::text END AS kind, pg_table_size(c.oid) AS bytes FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' AND c.relkind IN ('r', 'm', 'i') ORDER BY pg_table_size(c.oid) DESC, 2 ASC
SELECT c.oid::regclass AS relation, age(c.relfrozenxid) AS xid_age, mxid_age(c.relminmxid), pg_size_pretty(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind IN ('r', 't', 'm') ORDER BY 2 DESC LIMIT 15
SELECT datname, age(datfrozenxid) AS age, current_setting('autovacuum_freeze_max_age')::int AS limit, round(100.0 * age(datfrozenxid) / 2147483647, 2) AS percent FROM pg_database ORDER BY 2 DESC
SELECT max(age(backend_xmin)) AS snapshot, max(age(backend_xid)) AS writer FROM pg_stat_activity
SELECT slot_name, slot_type, active, age(xmin) AS xmin_age, age(catalog_xmin), pg_size_pretty(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)) AS kept FROM pg_replication_slots
SELECT application_name, client_addr, state, sync_state, pg_wal_lsn_diff(sent_lsn, replay_lsn) AS lag_bytes, extract(epoch FROM replay_lag) AS lag_s FROM pg_stat_replication ORDER BY lag_bytes DESC NULLS LAST
SELECT CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END AS lag
SELECT gid, prepared, owner, database, transaction AS xid, age(transaction) FROM pg_prepared_xacts ORDER BY age(transaction) DESC
SELECT relname, last_vacuum, last_autovacuum, last_analyze, last_autoanalyze, vacuum_count + autovacuum_count AS vacuums, n_mod_since_analyze FROM pg_stat_user_tables ORDER BY coalesce(last_autovacuum, last_vacuum, 'epoch'::timestamptz)
SELECT p.pid, p.datname, p.relid::regclass, p.phase, p.heap_blks_scanned::numeric / nullif(p.heap_blks_total, 0) AS done, now() - a.xact_start AS running FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
SELECT pid, phase, lockers_done, lockers_total, current_locker_pid, blocks_done, blocks_total, tuples_done, tuples_total FROM pg_stat_progress_create_index
SELECT a.query, p.phase, round(p.blocks_done / nullif(p.blocks_total::numeric, 0) * 100, 2) AS "% done" FROM pg_stat_progress_create_index p JOIN pg_stat_activity a ON p.pid = a.pid
SELECT a.pid, a.query, now() - a.query_start AS duration FROM pg_stat_activity a WHERE a.query LIKE 'autovacuum:%' ORDER BY duration DESC
SELECT c.relname, string_to_array(array_to_string(c.reloptions, ','), ',') AS options FROM pg_class c WHERE c.reloptions IS NOT NULL
SELECT pg_size_pretty(sum(pg_relation_size(idx))::bigint) AS size, (array_agg(idx))[1] AS idx1, (array_agg(idx))[2] AS idx2 FROM (SELECT indexrelid::regclass AS idx, (indrelid::text || E'\n' || indclass::text || E'\n' || indkey::text || E'\n' || coalesce(indexprs::text, '') || E'\n' || coalesce(indpred::text, '')) AS key FROM pg_index) sub GROUP BY key HAVING count(*) > 1 ORDER BY sum(pg_relation_size(idx)) DESC
SELECT i.indexrelid::regclass, i.indisvalid, i.indisready, pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE NOT i.indisvalid OR NOT i.indisready
SELECT conname, conrelid::regclass, confrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint c WHERE contype = 'f' AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND (i.indkey::int2[])[0:array_length(c.conkey, 1) - 1] @> c.conkey)
SELECT conrelid::regclass AS t, array_agg(a.attname ORDER BY k.n) AS columns FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (attnum, n) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum WHERE c.contype = 'p' GROUP BY 1
SELECT sequencename, last_value, max_value, round(100.0 * last_value / max_value, 2) AS used FROM pg_sequences WHERE last_value IS NOT NULL ORDER BY 4 DESC
SELECT name, setting, boot_val, reset_val, unit, source, pending_restart FROM pg_settings WHERE source NOT IN ('default', 'override') ORDER BY name
SELECT name, setting FROM pg_settings WHERE name ~ '^(autovacuum|vacuum)_' OR name = ANY (ARRAY['work_mem', 'maintenance_work_mem'])
SELECT current_setting('shared_buffers'), current_setting('effective_cache_size'), pg_size_bytes(current_setting('work_mem'))
SELECT version(), current_setting('server_version_num')::int, pg_postmaster_start_time(), now() - pg_postmaster_start_time() AS up, pg_conf_load_time()
SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, buffers_checkpoint, buffers_backend, maxwritten_clean FROM pg_stat_bgwriter
SELECT archived_count, last_archived_wal, failed_count, last_failed_time, last_failed_time > last_archived_time AS failing FROM pg_stat_archiver
SELECT wal_records, wal_fpi, pg_size_pretty(wal_bytes), wal_buffers_full FROM pg_stat_wal
SELECT relname, n_tup_upd, n_tup_hot_upd, round(100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0), 1) AS hot FROM pg_stat_user_tables WHERE n_tup_upd > 1000 ORDER BY hot
SELECT tablename, attname, null_frac, avg_width, n_distinct, array_to_string(most_common_vals, ', ') AS common FROM pg_stats WHERE schemaname = 'public' AND tablename = 'orders'
SELECT attrelid::regclass, attname, attstattarget FROM pg_attribute WHERE attstattarget > 0 AND attnum > 0 AND NOT attisdropped
SELECT inhparent::regclass AS parent, inhrelid::regclass AS child, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid ORDER BY 1, 2
SELECT relid, parentrelid, isleaf, level, pg_size_pretty(pg_total_relation_size(relid)) FROM pg_partition_tree('measurements'::regclass) WHERE isleaf
SELECT n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), l.lanname, p.provolatile FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname = 'public'
SELECT tgrelid::regclass, tgname, pg_get_triggerdef(oid, true) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
SELECT rolname, rolsuper, rolconnlimit, rolvaliduntil, array(SELECT b.rolname FROM pg_auth_members m JOIN pg_roles b ON m.roleid = b.oid WHERE m.member = r.oid) AS member_of FROM pg_roles r ORDER BY 1
SELECT setdatabase, setrole::regrole, unnest(setconfig) AS setting FROM pg_db_role_setting
SELECT grantee, privilege_type, is_grantable FROM information_schema.role_table_grants WHERE table_name = 'orders' AND grantee <> 'postgres'
SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, ordinal_position
SELECT extname, extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
SELECT name, default_version, installed_version FROM pg_available_extensions WHERE installed_version IS NOT NULL AND installed_version <> default_version
SELECT date_trunc('hour', created_at) AS hour, count(*) AS n, percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms) AS p FROM requests WHERE created_at >= now() - interval '24 hours' GROUP BY 1 ORDER BY 1
SELECT day::date, coalesce(n, 0) FROM generate_series(date '2026-11-01', date '2026-11-21', interval '1 day') AS d (day) LEFT JOIN (SELECT created_at::date AS on_day, count(*) AS n FROM orders GROUP BY 1) o ON o.on_day = d.day
SELECT customer_id, total, rank() OVER w, dense_rank() OVER w, ntile(4) OVER w, first_value(total) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY total DESC)
SELECT id, created_at - lag(created_at) OVER (ORDER BY created_at) AS gap, sum(amount) FILTER (WHERE refunded IS NOT TRUE) OVER (ORDER BY created_at RANGE BETWEEN interval '1 hour' PRECEDING AND CURRENT ROW) FROM payments
WITH RECURSIVE deps (child, parent, depth) AS (SELECT classid::regclass::text, refobjid::regclass::text, 1 FROM pg_depend WHERE refobjid = 'orders'::regclass UNION ALL SELECT d.classid::regclass::text, d.refobjid::regclass::text, deps.depth + 1 FROM pg_depend d JOIN deps ON d.refobjid::regclass::text = deps.child WHERE deps.depth < 5) SELECT DISTINCT * FROM deps
WITH RECURSIVE chain AS (SELECT pid, pg_blocking_pids(pid) AS by, ARRAY[pid] AS path FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 UNION ALL SELECT b, pg_blocking_pids(b), path || b FROM chain, unnest(by) AS b WHERE NOT b = ANY (path)) SELECT * FROM chain
WITH constants AS (SELECT current_setting('block_size')::numeric AS bs, 23 AS hdr, 8 AS ma), stats AS (SELECT schemaname, tablename, sum((1 - null_frac) * avg_width) AS width, max(null_frac) AS nulls FROM pg_stats GROUP BY 1, 2) SELECT tablename, ceil(c.reltuples * (width + hdr) / bs) AS expected_pages, c.relpages FROM stats JOIN pg_class c ON c.relname = tablename CROSS JOIN constants
WITH x AS NOT MATERIALIZED (SELECT * FROM orders WHERE status = 'open') SELECT count(*), min(id), max(id), avg(total)::numeric(10, 2), mode() WITHIN GROUP (ORDER BY status) FROM x
SELECT o.id, c.name, coalesce(sum(l.quantity * l.price), 0) AS total FROM orders o JOIN customers c ON c.id = o.customer_id LEFT JOIN lines l ON l.order_id = o.id WHERE o.created_at BETWEEN $1 AND $2 GROUP BY o.id, c.name HAVING count(l.*) > 3 ORDER BY total DESC FETCH FIRST 10 ROWS ONLY
SELECT status, count(*) * 100.0 / sum(count(*)) OVER () AS percent FROM orders GROUP BY status
SELECT count(*), count(DISTINCT customer_id), min(created_at), max(created_at) FROM orders
SELECT customer_id FROM orders GROUP BY customer_id HAVING count(*) > (SELECT avg(n) FROM (SELECT count(*) AS n FROM orders GROUP BY customer_id) x)
SELECT * FROM orders WHERE id IN (SELECT order_id FROM lines WHERE sku LIKE 'A%') AND (note IS NULL OR note = '') ORDER BY id LIMIT 50
SELECT email, count(*) FROM users GROUP BY lower(email), email HAVING count(*) > 1
SELECT payload ->> 'type' AS type, count(*) FROM events WHERE payload @> '{"v": 2}' AND payload #>> '{user,plan}' = 'pro' GROUP BY 1
SELECT jsonb_path_query(payload, '$.items[*] ? (@.price > 10)') FROM events LIMIT 5
SELECT e.id, i.value ->> 'sku', i.ordinality FROM events e, jsonb_array_elements(e.payload -> 'items') WITH ORDINALITY AS i (value, ordinality)
SELECT key, count(*) FROM events, jsonb_each_text(payload) GROUP BY key ORDER BY 2 DESC
SELECT id, tags FROM posts WHERE tags && ARRAY['a', 'b'] AND NOT 'c' = ANY (tags) AND array_length(tags, 1) > 1
SELECT to_char(created_at AT TIME ZONE 'Europe/Berlin', 'YYYY-MM-DD HH24:MI') FROM orders WHERE created_at > timestamptz '2026-11-01 00:00:00+00'
SELECT ts_rank(v, q), id FROM docs, to_tsquery('english', 'slow & query') q WHERE v @@ q ORDER BY 1 DESC LIMIT 10
SELECT regexp_replace(query, '\s+', ' ', 'g'), length(query) FROM pg_stat_activity WHERE query ~* 'select'
SELECT host(client_addr), count(*) FROM pg_stat_activity WHERE client_addr << inet '10.0.0.0/8' GROUP BY 1
SELECT age(now(), min(created_at)), date_part('day', now() - max(created_at)) FROM orders
SELECT CASE WHEN n_live_tup = 0 THEN NULL ELSE n_dead_tup::float8 / n_live_tup END AS ratio FROM pg_stat_user_tables WHERE relname = ANY ($1::text[])
SELECT coalesce(nullif(trim(application_name), ''), '(none)') AS app, count(*) FROM pg_stat_activity GROUP BY 1
SELECT (SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction') AS idle_in_tx, (SELECT setting::int FROM pg_settings WHERE name = 'max_connections') AS max
SELECT sum(size) AS wal_bytes, count(*) AS files FROM pg_ls_waldir()
SELECT pg_walfile_name(pg_current_wal_lsn()), pg_current_wal_insert_lsn(), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
SELECT spcname, pg_size_pretty(pg_tablespace_size(oid)), pg_tablespace_location(oid) FROM pg_tablespace
SELECT datname, pg_size_pretty(pg_database_size(datname)), datconnlimit, datallowconn FROM pg_database WHERE NOT datistemplate ORDER BY pg_database_size(datname) DESC
SELECT pubname, schemaname, tablename FROM pg_publication_tables
SELECT subname, received_lsn, latest_end_lsn, last_msg_receipt_time FROM pg_stat_subscription
SELECT pid, ssl, version, cipher FROM pg_stat_ssl WHERE ssl
SELECT funcid::regproc, calls, total_time, self_time FROM pg_stat_user_functions ORDER BY self_time DESC
SELECT classid, objid, objsubid, mode, granted FROM pg_locks WHERE locktype = 'advisory'
SELECT virtualtransaction, virtualxid, transactionid, fastpath FROM pg_locks WHERE locktype IN ('virtualxid', 'transactionid')
SELECT c.relname, b.usagecount, count(*) FROM pg_buffercache b JOIN pg_class c ON b.relfilenode = pg_relation_filenode(c.oid) GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20
SELECT query, plans, mean_plan_time FROM pg_stat_statements WHERE plans > 0 ORDER BY mean_plan_time * plans DESC NULLS LAST LIMIT 10
SELECT dealloc, stats_reset FROM pg_stat_statements_info
SELECT to_regclass('public.orders'), to_regtype('citext'), to_regproc('now')
SELECT has_schema_privilege('app', 'public', 'USAGE'), has_function_privilege('pg_stat_reset()', 'EXECUTE')
SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
SELECT obj_description('orders'::regclass, 'pg_class'), col_description('orders'::regclass, 1), shobj_description(1, 'pg_database')
SELECT * FROM pg_stat_user_tables NATURAL JOIN pg_statio_user_tables LIMIT 1
SELECT a.* FROM pg_stat_activity AS a WHERE (a.state, a.wait_event_type) IN (('active', 'Lock'), ('active', 'LWLock'))
SELECT row_to_json(x) FROM (SELECT 1 AS a, 'b' AS b) x
SELECT json_agg(t ORDER BY t.relname) FROM (SELECT relname, n_live_tup FROM pg_stat_user_tables) t
SELECT string_agg(format('%I.%I', schemaname, relname), E',\n') FROM pg_stat_user_tables WHERE n_dead_tup > 10000
SELECT md5(query), encode(sha256(convert_to(query, 'UTF8')), 'hex') FROM pg_stat_statements LIMIT 1
SELECT bit_or(1 << 3), 5 & 3, 5 | 2, 5 # 1, ~5, 2 ^ 10, 17 % 5, |/ 16, @ -4
SELECT width_bucket(mean_exec_time, ARRAY[1, 10, 100, 1000]::float8[]), count(*) FROM pg_stat_statements GROUP BY 1 ORDER BY 1
SELECT x, x * 2 FROM (VALUES (1), (2), (3)) AS v (x) WHERE x <> 2 ORDER BY x DESC NULLS FIRST OFFSET 1 ROW
VALUES (1, 'a'), (2, 'b')
TABLE pg_stat_wal
SHOW max_connections
SHOW ALL
SHOW server_version_num
EXPLAIN SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.town = 'x'
EXPLAIN (FORMAT JSON) SELECT * FROM orders WHERE customer_id = 42 ORDER BY created_at DESC LIMIT 20
EXPLAIN (ANALYZE, BUFFERS, SETTINGS, WAL) SELECT count(*) FROM lines GROUP BY order_id
EXPLAIN (GENERIC_PLAN) SELECT * FROM orders WHERE id = $1
EXPLAIN (COSTS off, SUMMARY on) WITH x AS (SELECT 1 AS n) SELECT * FROM x
EXPLAIN VERBOSE SELECT * FROM orders WHERE note ILIKE '%late%'
SELECT relname, last_idx_scan, last_seq_scan FROM pg_stat_user_tables WHERE last_seq_scan > now() - interval '1 day'
SELECT backend_type, object, context, reads, writes, extends, hits, evictions FROM pg_stat_io WHERE reads > 0
SELECT num_timed, num_requested, buffers_written FROM pg_stat_checkpointer
SELECT tup.* FROM pgstattuple_approx('orders') AS tup
SELECT leaf_pages, avg_leaf_density, leaf_fragmentation FROM pgstatindex('orders_pkey'::regclass)
SELECT hypopg_relation_size(indexrelid), indexname FROM hypopg()
SELECT count(*) FROM orders TABLESAMPLE bernoulli (0.5) REPEATABLE (7) WHERE total > 100
SELECT greatest(now() - xact_start, now() - query_start) AS age FROM pg_stat_activity WHERE backend_xmin IS NOT NULL ORDER BY age DESC NULLS LAST LIMIT 1
SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'DataFileRead') AS reading, NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) AS calm
SELECT o.status, o.n, round(o.n::numeric / t.n, 4) FROM (SELECT status, count(*) n FROM orders GROUP BY status) o, (SELECT count(*) n FROM orders) t
SELECT a AS "limit", b AS "order", c "user" FROM (SELECT 1 a, 2 b, 3 c) "select"
