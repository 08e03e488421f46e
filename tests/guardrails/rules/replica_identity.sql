-- objected
ALTER TABLE orders REPLICA IDENTITY FULL;

-- passed
ALTER TABLE orders SET (fillfactor = 90);
