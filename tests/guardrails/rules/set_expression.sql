-- objected
ALTER TABLE orders ALTER COLUMN gross SET EXPRESSION AS (net * 1.3);

-- passed
ALTER TABLE orders ADD COLUMN gross_new numeric;
