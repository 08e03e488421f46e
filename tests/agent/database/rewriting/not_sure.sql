-- Queries that look like one of them and are left alone: the answer, or an error, could differ. One a line.
SELECT o.id, (SELECT sum(o.ref) FROM rewriting.items i WHERE i.order_id = o.id) FROM rewriting.orders o
SELECT o.id, (SELECT sum(x.weight) FROM rewriting.orders x WHERE x.customer_id = o.customer_id) FROM rewriting.orders o
SELECT o.id, (SELECT count(*) FROM rewriting.orders x WHERE x.weight = o.weight) FROM rewriting.orders o
SELECT o.id, (SELECT count(*) FROM rewriting.items i WHERE i.order_id = o.customer_id AND 6 / i.qty > 1) FROM rewriting.orders o
SELECT o.id, (SELECT count(*) FROM rewriting.items i WHERE i.sku = o.customer_id::text) FROM rewriting.orders o
SELECT o.id, (SELECT i.qty FROM rewriting.items i WHERE i.order_id = o.id) FROM rewriting.orders o
SELECT *, (SELECT count(*) FROM rewriting.items i WHERE i.order_id = o.id) FROM rewriting.orders o
SELECT o.id, (SELECT count(*) FROM rewriting.items i WHERE i.order_id = o.id) FROM rewriting.orders o LIMIT 10
SELECT max((SELECT count(*) FROM rewriting.items i WHERE i.order_id = o.id)) FROM rewriting.orders o
SELECT o.status, (SELECT count(*) FROM rewriting.items i WHERE i.sku = o.status) FROM rewriting.orders o GROUP BY o.status
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c LIMIT 1)
SELECT o.id FROM rewriting.orders o WHERE o.ref + 1 NOT IN (SELECT c.id FROM rewriting.customers c)
SELECT o.id FROM rewriting.orders o WHERE (o.ref NOT IN (SELECT c.id FROM rewriting.customers c)) IS NULL
SELECT o.id, o.ref NOT IN (SELECT c.region FROM rewriting.customers c) AS unseen FROM rewriting.orders o
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c) FOR UPDATE
SELECT o.id FROM rewriting.orders o WHERE o.status = 'a' OR o.ref = 1
SELECT DISTINCT o.id FROM rewriting.orders o JOIN rewriting.items i ON i.order_id = o.id WHERE o.status = 'a' OR i.qty = 1 LIMIT 1
SELECT count(*) FROM rewriting.orders o JOIN rewriting.items i ON i.order_id = o.id WHERE o.status = 'a' OR i.qty = 1
SELECT DISTINCT c.id, o.id FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.id FROM rewriting.customers c LEFT JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT ON (c.name) c.id FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.id FROM rewriting.customers c JOIN rewriting.orders o USING (id)
SELECT DISTINCT c.id FROM rewriting.customers c NATURAL JOIN rewriting.orders o
SELECT DISTINCT c FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.ctid FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.id FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id WHERE random() < 0.5
SELECT DISTINCT c.id FROM rewriting.customers c TABLESAMPLE SYSTEM (50) JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.id FROM ONLY rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.id FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id; DROP TABLE rewriting.customers
WITH c AS (SELECT 1 AS id) SELECT DISTINCT c.id FROM c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT id FROM rewriting.orders, rewriting.customers WHERE ref NOT IN (SELECT region FROM rewriting.customers)
SELECT DISTINCT u.id FROM rewriting.unknown u JOIN rewriting.orders o ON o.ref = u.id
SELECT id FROM rewriting.orders ORDER BY status, id LIMIT 10 OFFSET 100
SELECT id FROM rewriting.orders ORDER BY ref LIMIT 10 OFFSET 100
SELECT id FROM rewriting.orders ORDER BY ref DESC, id LIMIT 10 OFFSET 100
DELETE FROM rewriting.orders WHERE ref NOT IN (SELECT id FROM rewriting.customers)
<insufficient privilege>
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c WHERE current_timestamp(0) > '2026-01-01')
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c) AND date_part('year', o.status) = 2026
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c) AND @ o.ref = 1
SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c) AND now() - interval '1.5' day > '2026-01-01'
