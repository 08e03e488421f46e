-- objected
ALTER TABLE orders ADD COLUMN note text;

-- passed
SET lock_timeout = '500ms'; ALTER TABLE orders ADD COLUMN note text;

CREATE INDEX CONCURRENTLY i ON orders (id);
