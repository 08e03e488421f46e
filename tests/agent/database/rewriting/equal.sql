-- Queries that a rewrite cures with the same answer, under the rule that does.

-- rule: correlated_subquery
SELECT o.id, (SELECT count(*) FROM rewriting.items i WHERE i.order_id = o.id) FROM rewriting.orders o
SELECT o.id, (SELECT count(qty) FROM rewriting.items WHERE order_id = o.id AND sku IS NOT NULL) AS n FROM rewriting.orders o ORDER BY n
SELECT o.ref, (SELECT coalesce(sum(i.qty), -1) FROM rewriting.items i WHERE o.ref = i.order_id) s, o.* FROM rewriting.orders o
SELECT o.id FROM rewriting.orders o WHERE o.total > (SELECT avg(x.total) FROM rewriting.orders x WHERE x.customer_id = o.customer_id)
SELECT o.id FROM rewriting.orders o WHERE (SELECT count(DISTINCT sku) FROM rewriting.items i WHERE i.order_id = o.ref) = 0 OR o.status = 'a'
SELECT c.name, (SELECT max(o.status) FROM rewriting.orders o WHERE o.customer_id = c.id AND (o.total > 1 OR o.total IS NULL)), (SELECT min(o.ref) + 0 AS r FROM rewriting.orders o WHERE o.customer_id = c.id) FROM rewriting.customers c
SELECT o.status, count(*) FROM rewriting.orders o, rewriting.customers c WHERE c.id = o.customer_id AND o.total < (SELECT max(x.total) FROM rewriting.orders x WHERE x.customer_id = c.id) GROUP BY o.status
SELECT c.id, (SELECT sum(i.qty) FROM rewriting.orders o JOIN rewriting.items i ON i.order_id = o.id WHERE o.customer_id = c.id) FROM rewriting.customers c LEFT JOIN rewriting.orders p ON p.ref = c.region
SELECT i.sku, (SELECT count(*) FROM rewriting.orders o WHERE o.status = i.sku AND o.ref = i.qty) + 1 AS n FROM rewriting.items i

-- rule: negated_in
SELECT o.id FROM rewriting.orders o WHERE o.customer_id NOT IN (SELECT c.id FROM rewriting.customers c)
SELECT id FROM rewriting.customers WHERE region NOT IN (SELECT region FROM rewriting.customers WHERE vip) AND name IS NOT NULL
SELECT id FROM rewriting.orders WHERE ref NOT IN (SELECT DISTINCT order_id FROM rewriting.items WHERE qty > 1 ORDER BY order_id)
SELECT id FROM rewriting.orders WHERE ref NOT IN (SELECT id FROM rewriting.customers)
SELECT o.id, c.id FROM rewriting.orders o LEFT JOIN rewriting.customers c ON c.id = o.customer_id WHERE c.id NOT IN (SELECT ref FROM rewriting.orders)
SELECT o.id FROM rewriting.orders o WHERE NOT (o.ref IN (SELECT c.region FROM rewriting.customers c WHERE c.name = o.status))
SELECT count(*) FROM rewriting.orders WHERE ref NOT IN (SELECT c.id FROM rewriting.orders o LEFT JOIN rewriting.customers c ON c.id = o.customer_id)
SELECT o.status, sum(o.ref) FROM rewriting.orders AS o WHERE o.id NOT IN (SELECT i.qty FROM rewriting.items i, rewriting.customers c WHERE c.id = i.order_id) AND (o.total > 1 OR o.total IS NULL) GROUP BY o.status HAVING count(*) > 0

-- rule: disjunction
SELECT o.id, i.sku FROM rewriting.orders o JOIN rewriting.items i ON i.order_id = o.id WHERE o.status = 'a' OR i.qty > 1
SELECT * FROM rewriting.orders o LEFT JOIN rewriting.items i ON i.order_id = o.ref WHERE (o.total > 1 OR i.qty IS NULL) AND o.id < 5
SELECT c.name, o.ref AS r FROM rewriting.customers c, rewriting.orders o WHERE c.id = o.customer_id AND (c.region = 1 OR o.total < 2 OR c.region = o.ref OR c.vip) ORDER BY r, 1
SELECT o.status FROM rewriting.orders o WHERE o.total = 1 OR EXISTS (SELECT 1 FROM rewriting.items i WHERE i.order_id = o.id AND i.qty > 1) ORDER BY o.status DESC NULLS LAST
SELECT i.sku FROM rewriting.items i FULL JOIN rewriting.orders o ON o.id = i.order_id WHERE NOT (i.qty = 1) OR o.status LIKE 'a%'

-- rule: distinct_join
SELECT DISTINCT c.id, c.name FROM rewriting.customers c JOIN rewriting.orders o ON o.customer_id = c.id
SELECT DISTINCT c.name FROM rewriting.orders o JOIN rewriting.customers c ON o.customer_id = c.id AND c.vip WHERE o.total > 0 ORDER BY c.name
SELECT DISTINCT o.status AS s FROM rewriting.orders o, rewriting.items i, rewriting.customers c WHERE i.order_id = o.id AND (c.id = i.qty OR c.id = 1)
SELECT DISTINCT c.* FROM rewriting.customers c INNER JOIN rewriting.items i ON i.qty = c.region WHERE i.sku = 'a' OR c.name IS NULL
SELECT DISTINCT i.sku, i.order_id FROM rewriting.items i CROSS JOIN rewriting.orders o WHERE o.status = 'a' AND i.qty = 1
