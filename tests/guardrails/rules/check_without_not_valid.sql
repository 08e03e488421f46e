-- objected
ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);

-- passed
ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0) NOT VALID;
