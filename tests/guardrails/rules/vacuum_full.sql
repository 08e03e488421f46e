-- objected
VACUUM FULL orders;

VACUUM (FULL, ANALYZE) orders;

VACUUM FULL;

-- passed
VACUUM (ANALYZE) orders;

VACUUM (FULL false) orders;

VACUUM orders;
