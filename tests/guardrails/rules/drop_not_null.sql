-- objected
ALTER TABLE orders ALTER COLUMN total DROP NOT NULL;

-- passed
ALTER TABLE orders ALTER COLUMN total DROP DEFAULT;
