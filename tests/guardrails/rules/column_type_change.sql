-- objected
ALTER TABLE orders ALTER COLUMN id TYPE bigint;

ALTER TABLE orders ALTER total SET DATA TYPE numeric(12, 4) USING total::numeric;

-- passed
ALTER TABLE orders ADD COLUMN new_id bigint;
