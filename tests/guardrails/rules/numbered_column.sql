-- objected
ALTER TABLE orders ADD COLUMN number bigserial;

ALTER TABLE orders ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;

-- passed
ALTER TABLE orders ADD COLUMN number bigint;

CREATE TABLE fresh (id bigint GENERATED ALWAYS AS IDENTITY);
