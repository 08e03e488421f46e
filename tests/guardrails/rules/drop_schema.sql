-- objected
DROP SCHEMA billing CASCADE;

DROP SCHEMA billing;

-- passed
CREATE SCHEMA billing;
