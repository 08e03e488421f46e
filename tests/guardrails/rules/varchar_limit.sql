-- objected
ALTER TABLE orders ADD COLUMN code varchar(20);

-- passed
ALTER TABLE orders ADD COLUMN code text;
