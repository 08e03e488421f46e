-- objected
SELECT archive_orders();

-- passed
SELECT now();
