-- objected
ALTER TABLE orders ADD COLUMN channel text NOT NULL;

-- passed
ALTER TABLE orders ADD COLUMN channel text;

ALTER TABLE orders ADD COLUMN channel text NOT NULL DEFAULT 'web';
