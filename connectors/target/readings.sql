-- The readings of agent.database.readings: incidents by catalog and statistics views. Rules as in queries.sql; `own` is
-- our application's name, so that no session of ours is taken for a part of the incident.

-- name: read_sessions
-- Client sessions and autovacuum workers but our own. blocked_by is asked of those that wait only, since
-- pg_blocking_pids() holds up the lock manager. waits_for_strong_lock: it wants a lock that stops others' reads or
-- writes of a table. waitstart came with 14; before, a wait is no older than its statement.
SELECT a.pid, coalesce(a.datname::text, '') AS database, coalesce(a.usename::text, '') AS "user",
       coalesce(a.application_name, '') AS application, coalesce(a.client_addr::text, '') AS client,
       coalesce(a.backend_type, 'client backend') AS backend_type, coalesce(a.state, 'hidden') AS state,
       a.wait_event_type, a.wait_event,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS xact_age_s,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_age_s,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_age_s,
       age(a.backend_xmin) AS backend_xmin_age, age(a.backend_xid) AS backend_xid_age,
       a.backend_start, left(coalesce(a.query, ''), 4000) AS query,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{{}}'::int[] END AS blocked_by,
       CASE WHEN a.wait_event_type = 'Lock' THEN extract(epoch FROM clock_timestamp() - coalesce(
           w.since, a.query_start))::float8 END AS waiting_s,
       w.locktype AS waits_for, w.mode AS wanted_mode, w.relation AS wanted_relation,
       coalesce(w.strong, false) AS waits_for_strong_lock,
       a.backend_type IS NOT NULL AS visible
FROM pg_stat_activity a
LEFT JOIN LATERAL (
    SELECT (to_jsonb(l) ->> 'waitstart')::timestamptz AS since, l.locktype, l.mode,
           (SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = l.relation AND l.database IN (0, a.datid)) AS relation,
           l.locktype = 'relation' AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock',
                                                  'ShareLock') AS strong
    FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted LIMIT 1) w ON a.wait_event_type = 'Lock'
WHERE a.pid <> pg_backend_pid()
  AND (a.backend_type IN ('client backend', 'autovacuum worker') OR (a.backend_type IS NULL AND a.datid IS NOT NULL))
  AND NOT (a.application_name = %(own)s AND a.usename = session_user)
