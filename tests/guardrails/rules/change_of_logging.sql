-- objected
ALTER TABLE orders SET UNLOGGED;

ALTER TABLE staging SET LOGGED;

-- passed
ALTER TABLE orders SET (fillfactor = 90);
