-- name: related
-- Relations a statement reaches through the catalog, and whether they are part of a named one (its indexes, partitions
-- and sequences) or others: both ends of foreign keys, what a view reads. With far, foreign keys are followed to their
-- ends, as cascades are, and views on a relation count too. Names that do not exist are left out.
WITH RECURSIVE named AS (
  SELECT c.oid FROM unnest(%(names)s::text[]) n CROSS JOIN LATERAL to_regclass(n) c WHERE c IS NOT NULL
), reached (oid, own) AS (
  SELECT oid::oid, true FROM named
  UNION
  SELECT next.oid, reached.own AND next.own FROM reached CROSS JOIN LATERAL (
    SELECT i.indrelid AS oid, true AS own FROM pg_catalog.pg_index i WHERE i.indexrelid = reached.oid
    UNION ALL SELECT i.indexrelid, true FROM pg_catalog.pg_index i WHERE i.indrelid = reached.oid
    UNION ALL SELECT h.inhrelid, true FROM pg_catalog.pg_inherits h WHERE h.inhparent = reached.oid
    UNION ALL SELECT h.inhparent, true FROM pg_catalog.pg_inherits h WHERE h.inhrelid = reached.oid
    UNION ALL SELECT d.objid, true FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.refobjid = reached.oid AND d.deptype IN ('a', 'i') AND s.relkind = 'S'
    UNION ALL SELECT d.refobjid, false FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
      WHERE r.ev_class = reached.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
    UNION ALL SELECT r.ev_class, false FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
      WHERE %(far)s AND d.refobjid = reached.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
    UNION ALL SELECT f.confrelid, false FROM pg_catalog.pg_constraint f
      WHERE f.contype = 'f' AND f.conrelid = reached.oid AND (reached.own OR %(far)s)
    UNION ALL SELECT f.conrelid, false FROM pg_catalog.pg_constraint f
      WHERE f.contype = 'f' AND f.confrelid = reached.oid AND (reached.own OR %(far)s)
  ) next
)
SELECT oid::regclass::text AS relation, bool_or(own) AS own FROM reached
WHERE oid NOT IN (SELECT oid FROM named) GROUP BY oid ORDER BY 1
