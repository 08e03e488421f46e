-- objected
-- version 14.2
CREATE INDEX CONCURRENTLY i ON orders (customer_id);

-- version 14.0
REINDEX INDEX CONCURRENTLY i;

-- passed
-- version 14.4
CREATE INDEX CONCURRENTLY i ON orders (customer_id);

-- version 15
CREATE INDEX CONCURRENTLY i ON orders (customer_id);
