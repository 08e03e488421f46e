-- Parallel workers carry their leader's name and go with it.

-- name: sessions
SELECT pid FROM pg_stat_activity WHERE usename = %(role)s AND application_name = %(application)s;

-- name: end
SELECT pid, pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE usename = %(role)s AND application_name = %(application)s AND backend_type = 'client backend';
