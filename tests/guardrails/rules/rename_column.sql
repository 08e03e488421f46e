-- objected
ALTER TABLE orders RENAME COLUMN total TO amount;

ALTER TABLE orders RENAME total TO amount;

-- passed
ALTER TABLE orders RENAME CONSTRAINT a TO b;

ALTER INDEX i RENAME TO j;
