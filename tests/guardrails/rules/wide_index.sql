-- objected
CREATE INDEX CONCURRENTLY i ON orders (a, b, c, d);

-- passed
CREATE INDEX CONCURRENTLY i ON orders (a, b, c);
