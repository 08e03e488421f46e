-- objected
DROP VIEW v;

DROP SEQUENCE s;

-- passed
CREATE VIEW v AS SELECT 1;
