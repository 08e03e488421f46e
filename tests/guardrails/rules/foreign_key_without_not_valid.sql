-- objected
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customers (id);

-- passed
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;

CREATE TABLE fresh (id bigint); ALTER TABLE fresh ADD FOREIGN KEY (id) REFERENCES customers (id);
