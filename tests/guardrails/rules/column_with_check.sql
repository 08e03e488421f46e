-- objected
ALTER TABLE orders ADD COLUMN discount int CHECK (discount >= 0);

-- passed
ALTER TABLE orders ADD COLUMN discount int;
