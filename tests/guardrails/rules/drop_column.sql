-- objected
ALTER TABLE orders DROP COLUMN note;

-- passed
ALTER TABLE orders ALTER COLUMN note DROP DEFAULT;
