-- objected
REFRESH MATERIALIZED VIEW sales_by_day;

-- passed
REFRESH MATERIALIZED VIEW CONCURRENTLY sales_by_day;
