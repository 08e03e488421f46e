-- objected
ALTER TABLE orders OWNER TO app;

-- passed
GRANT SELECT ON orders TO app;
