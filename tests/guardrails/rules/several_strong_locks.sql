-- objected
BEGIN; ALTER TABLE orders ADD COLUMN a int; ALTER TABLE users ADD COLUMN b int; COMMIT;

-- passed
ALTER TABLE orders ADD COLUMN a int; ALTER TABLE users ADD COLUMN b int;

BEGIN; ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD COLUMN b int; COMMIT;
