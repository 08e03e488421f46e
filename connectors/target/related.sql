-- name: related
-- Relations a statement reaches through the catalog: partitions and parents, both ends of foreign keys, the tables of
-- indexes and the indexes of tables, and what a view reads. Names that do not exist are left out.
WITH RECURSIVE named AS (
  SELECT c.oid FROM unnest(%(names)s::text[]) n CROSS JOIN LATERAL to_regclass(n) c WHERE c IS NOT NULL
), of_index AS (
  SELECT oid FROM named UNION SELECT i.indrelid FROM pg_catalog.pg_index i JOIN named ON i.indexrelid = named.oid
), family AS (
  SELECT oid FROM of_index
  UNION
  SELECT CASE WHEN h.inhparent = family.oid THEN h.inhrelid ELSE h.inhparent END
  FROM pg_catalog.pg_inherits h JOIN family ON family.oid IN (h.inhparent, h.inhrelid)
), keys AS (
  SELECT oid FROM family
  UNION SELECT f.confrelid FROM pg_catalog.pg_constraint f JOIN family ON f.conrelid = family.oid WHERE f.contype = 'f'
  UNION SELECT f.conrelid FROM pg_catalog.pg_constraint f JOIN family ON f.confrelid = family.oid WHERE f.contype = 'f'
  UNION SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN family ON r.ev_class = family.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass
), reached AS (
  SELECT oid FROM keys UNION SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN keys ON i.indrelid = keys.oid
)
SELECT oid::regclass::text AS relation FROM reached WHERE oid NOT IN (SELECT oid FROM named) ORDER BY 1
