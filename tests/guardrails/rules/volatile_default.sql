-- objected
ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();

ALTER TABLE orders ADD COLUMN n int DEFAULT my_function();

-- passed
ALTER TABLE orders ADD COLUMN created_at timestamptz DEFAULT now();

ALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();
