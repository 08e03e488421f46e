-- objected
BEGIN; CREATE INDEX CONCURRENTLY i ON orders (id); COMMIT;

BEGIN; VACUUM orders; COMMIT;

-- passed
CREATE INDEX CONCURRENTLY i ON orders (id);
