-- objected
ALTER TABLE orders RENAME TO purchases;

ALTER TABLE orders SET SCHEMA sales;

-- passed
ALTER INDEX i RENAME TO j;
