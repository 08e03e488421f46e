-- objected
ALTER ROLE app CONNECTION LIMIT 5;

-- passed
GRANT SELECT ON orders TO app;
