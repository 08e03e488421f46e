-- objected
SET session_replication_role = replica;

ALTER TABLE orders DISABLE TRIGGER ALL;

ALTER TABLE orders DISABLE TRIGGER audit;

-- passed
ALTER TABLE orders ENABLE TRIGGER audit;
