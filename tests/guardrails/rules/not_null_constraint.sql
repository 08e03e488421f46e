-- objected
ALTER TABLE orders ADD CONSTRAINT n NOT NULL customer_id;

-- passed
ALTER TABLE orders ADD CONSTRAINT n NOT NULL customer_id NOT VALID;
