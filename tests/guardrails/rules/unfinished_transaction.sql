-- objected
BEGIN; ALTER TABLE orders ADD COLUMN a int;

-- passed
BEGIN; ALTER TABLE orders ADD COLUMN a int; COMMIT;
