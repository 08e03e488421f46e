-- objected
ALTER TABLE orders ADD COLUMN data json;

CREATE TABLE fresh (data json);

-- passed
ALTER TABLE orders ADD COLUMN data jsonb;
