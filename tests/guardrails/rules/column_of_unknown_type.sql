-- objected
ALTER TABLE orders ADD COLUMN mail email_address;

-- passed
ALTER TABLE orders ADD COLUMN mail text;
