-- objected
SELECT pg_drop_replication_slot('standby');

SELECT pg_terminate_backend(pid) FROM pg_stat_activity;

-- passed
SELECT nextval('s');

SELECT count(*) FROM orders;
