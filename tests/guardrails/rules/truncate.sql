-- objected
TRUNCATE orders;

TRUNCATE TABLE orders CASCADE;

-- passed
DELETE FROM orders WHERE id BETWEEN 1 AND 1000;
