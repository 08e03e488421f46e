-- objected
DELETE FROM orders;

UPDATE orders SET total = 0;

DELETE FROM orders WHERE true;

WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;

-- passed
DELETE FROM orders WHERE id = 5;

UPDATE orders SET total = 0 WHERE id < 1000;
