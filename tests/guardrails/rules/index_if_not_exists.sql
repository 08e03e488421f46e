-- objected
CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (customer_id);

-- passed
CREATE INDEX CONCURRENTLY i ON orders (customer_id);
