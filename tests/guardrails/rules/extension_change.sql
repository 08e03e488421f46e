-- objected
CREATE EXTENSION pg_trgm;

ALTER EXTENSION postgis UPDATE;

-- passed
COMMENT ON EXTENSION pg_trgm IS 'seen';
