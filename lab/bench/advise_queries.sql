-- name: q01
-- index: account (lower(email))
SELECT id, plan FROM account WHERE lower(email) = 'user.77778@mail.example'
-- name: q02
-- index: shipment (account_id)
SELECT count(*), sum(price_cents) FROM shipment WHERE account_id = 150001
-- name: q03
-- index: shipment (account_id, created_at DESC)
SELECT id, state, created_at FROM shipment WHERE account_id = 3 ORDER BY created_at DESC LIMIT 10
-- name: q04
-- index: shipment (created_at) WHERE state = 'held'
SELECT id, account_id FROM shipment WHERE state = 'held' ORDER BY created_at LIMIT 50
-- name: q05
-- index: scan (kind, at)
SELECT id, parcel_id, at FROM scan
WHERE kind = 'damage' AND at >= timestamptz '2025-10-01 00:00Z' AND at < timestamptz '2025-11-01 00:00Z'
-- name: q06
-- index: parcel (product text_pattern_ops)
SELECT id, quantity FROM parcel WHERE product LIKE 'BA-0123%'
-- name: q07
-- index: parcel (shipment_id)
SELECT p.id, p.product, s.created_at FROM shipment s JOIN parcel p ON p.shipment_id = s.id
WHERE s.id BETWEEN 500000 AND 500040
-- name: q08
-- index: shipment (account_id)
-- index: parcel (shipment_id)
SELECT a.id, sum(p.quantity * p.unit_cents) AS cents
FROM account a JOIN shipment s ON s.account_id = a.id JOIN parcel p ON p.shipment_id = s.id
WHERE a.id IN (199001, 199500, 199900) GROUP BY a.id
-- name: q09
-- index: device (serial)
UPDATE device SET firmware = '4.13' WHERE serial = 'SN-C4CA4238A0'
-- name: q10
-- index: payment (status, paid_on)
SELECT account_id, amount_cents FROM payment WHERE status = 'disputed' AND paid_on >= date '2025-11-01'
-- name: q11
-- index: account USING gin (profile jsonb_path_ops)
SELECT id, email FROM account WHERE profile @> '{"vat": "EU4242"}'
-- name: q12
-- index: shipment USING gin (tags)
SELECT count(*) FROM shipment WHERE tags @> ARRAY['fragile', 'r4']
-- name: q13
-- index: account ((profile ->> 'vat'))
SELECT id, email FROM account WHERE profile ->> 'vat' = 'EU777'
-- name: q14
-- index: ticket (priority, opened_at) WHERE closed_at IS NULL
SELECT id, subject FROM ticket WHERE closed_at IS NULL AND priority = 1 ORDER BY opened_at LIMIT 20
-- name: q15
-- index: ticket (account_id)
-- index: payment (account_id)
-- index: account (region, id) WHERE plan = 'enterprise'
SELECT a.id, a.email FROM account a
WHERE a.region = 20 AND a.plan = 'enterprise' AND a.id < 20000
  AND (SELECT count(*) FROM ticket t WHERE t.account_id = a.id) > 2
  AND NOT EXISTS (SELECT 1 FROM payment y WHERE y.account_id = a.id AND y.status = 'disputed')
-- name: q16
-- index: shipment (account_id)
-- index: shipment (created_at)
SELECT id, price_cents FROM shipment
WHERE account_id = 120000 OR (created_at >= timestamptz '2025-06-01 00:00Z' AND created_at < timestamptz '2025-06-01 01:00Z')
-- name: q17
-- index: scan (parcel_id, at DESC)
SELECT p.id, x.at, x.kind FROM parcel p
CROSS JOIN LATERAL (SELECT at, kind FROM scan c WHERE c.parcel_id = p.id ORDER BY at DESC LIMIT 1) x
WHERE p.id BETWEEN 1000 AND 1030
-- name: q18
-- index: device (account_id, seen_at DESC)
SELECT DISTINCT ON (account_id) account_id, serial, seen_at FROM device
WHERE account_id IN (5, 50, 500, 5000, 50000) ORDER BY account_id, seen_at DESC
-- name: q19
-- index: payment (shipment_id)
-- index: shipment (created_at) WHERE state = 'lost'
SELECT s.id, y.amount_cents FROM shipment s JOIN payment y ON y.shipment_id = s.id
WHERE s.state = 'lost' AND s.created_at >= timestamptz '2025-09-01 00:00Z' AND y.method = 'card'
-- name: q20
-- index: scan (at)
SELECT max(at) FROM scan
-- name: q21
-- index: scan (depot, at)
SELECT id, kind, at FROM scan WHERE depot = 17 AND kind <> 'in' ORDER BY at DESC LIMIT 25
-- name: q22
-- index: parcel (shipment_id) WHERE returned
-- index: shipment (id) WHERE state = 'held'
WITH late AS (SELECT id, account_id FROM shipment WHERE state = 'held')
SELECT l.account_id, count(*) FROM late l JOIN parcel p ON p.shipment_id = l.id WHERE p.returned GROUP BY l.account_id
-- name: q23
-- index: account (referrer_id)
SELECT id FROM account WHERE referrer_id = 4711 UNION ALL SELECT id FROM account WHERE id = 4711
-- name: q24
-- index: device (date_trunc('day', seen_at))
SELECT model, count(*) FROM device WHERE date_trunc('day', seen_at) = timestamp '2025-03-01' GROUP BY model
-- name: q25
-- index: shipment (created_at)
DELETE FROM shipment WHERE created_at < timestamptz '2024-01-01 06:00Z' AND delivered_at IS NOT NULL
-- name: q26
-- index: ticket USING gin (to_tsvector('english', body))
SELECT id, subject FROM ticket WHERE to_tsvector('english', body) @@ to_tsquery('english', 'leak & depot')
-- name: q27
-- index: ticket USING gin (subject gin_trgm_ops)
SELECT id, subject FROM ticket WHERE subject ILIKE '%parcel 4321%'
-- name: q28
-- index: ticket (agent, closed_at)
SELECT agent, count(*) FROM ticket WHERE agent = 7 AND closed_at BETWEEN timestamptz '2025-05-01 00:00Z' AND timestamptz '2025-05-08 00:00Z' GROUP BY agent
-- name: q29
-- index: shipment (carrier, weight_g)
SELECT c.name, s.id, s.weight_g FROM carrier c JOIN shipment s ON s.carrier = c.id
WHERE c.name = 'Carrier 9' AND s.weight_g > 29990
-- name: q30
-- index: payment (account_id)
SELECT id, email FROM account WHERE id IN (SELECT account_id FROM payment WHERE amount_cents > 15000 AND account_id BETWEEN 100 AND 160)
-- name: n01
SELECT name FROM carrier WHERE country = 'TR' ORDER BY name
-- name: n02
SELECT * FROM shipment WHERE id = 4711
-- name: n03
SELECT state, count(*), avg(price_cents) FROM shipment GROUP BY state
-- name: n04
SELECT count(*) FROM account WHERE active
-- name: n05
SELECT p.product, sum(p.quantity) FROM parcel p JOIN shipment s ON s.id = p.shipment_id WHERE s.weight_g > 100 GROUP BY p.product
-- name: n06
SELECT id, note FROM scan WHERE note LIKE '%graph 12%' OR depot >= 0
-- name: n07
SELECT id, state FROM shipment WHERE price_cents > 2000 AND state <> 'lost'
-- name: n08
SELECT * FROM payment LIMIT 20
-- name: n09
SELECT count(*) FROM scan WHERE at::date > date '2025-01-01'
-- name: n10
SELECT relname FROM pg_catalog.pg_class WHERE reltuples > 5
-- name: t01
SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)),
       avg(l_quantity), avg(l_discount), count(*)
FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90 days' GROUP BY l_returnflag, l_linestatus ORDER BY 1, 2
-- name: t02
-- index: part (p_size)
-- index: supplier (s_nationkey)
SELECT s_acctbal, s_name, n_name, p_partkey FROM part, supplier, partsupp, nation, region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
  AND ps_supplycost = (SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
                       WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
                         AND n_regionkey = r_regionkey AND r_name = 'EUROPE')
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100
-- name: t03
-- index: customer (c_mktsegment)
-- index: orders (o_custkey, o_orderdate)
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate FROM customer, orders, lineitem
WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < date '1992-01-15'
  AND l_shipdate > date '1992-01-15' GROUP BY l_orderkey, o_orderdate ORDER BY revenue DESC, o_orderdate LIMIT 10
-- name: t04
-- index: orders (o_orderdate)
SELECT o_orderpriority, count(*) FROM orders WHERE o_orderdate >= date '1993-07-01' AND o_orderdate < date '1993-07-01' + interval '3 month'
  AND EXISTS (SELECT 1 FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY o_orderpriority ORDER BY o_orderpriority
-- name: t05
-- index: orders (o_orderdate)
SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem, supplier, nation, region
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
  AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA' AND o_orderdate >= date '1994-01-01'
  AND o_orderdate < date '1994-01-01' + interval '1 year' GROUP BY n_name ORDER BY revenue DESC
-- name: t06
-- index: lineitem (l_shipdate, l_discount, l_quantity) INCLUDE (l_extendedprice)
SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= date '1994-01-01'
  AND l_shipdate < date '1994-01-01' + interval '1 year' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24
-- name: t07
-- index: supplier (s_nationkey)
-- index: lineitem (l_suppkey, l_shipdate)
SELECT supp_nation, cust_nation, l_year, sum(volume) FROM (
  SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, extract(year FROM l_shipdate) AS l_year,
         l_extendedprice * (1 - l_discount) AS volume
  FROM supplier, lineitem, orders, customer, nation n1, nation n2
  WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey
    AND c_nationkey = n2.n_nationkey AND ((n1.n_name = 'NATION 06' AND n2.n_name = 'NATION 07')
         OR (n1.n_name = 'NATION 07' AND n2.n_name = 'NATION 06'))
    AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31') shipping
GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year
-- name: t08
-- index: lineitem (l_partkey)
-- index: part (p_type)
SELECT o_year, sum(CASE WHEN nation = 'NATION 02' THEN volume ELSE 0 END) / sum(volume) FROM (
  SELECT extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
  FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
  WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey
    AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA' AND s_nationkey = n2.n_nationkey
    AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31' AND p_type = 'ECONOMY ANODIZED STEEL') all_nations
GROUP BY o_year ORDER BY o_year
-- name: t09
SELECT nation, o_year, sum(amount) FROM (
  SELECT n_name AS nation, extract(year FROM o_orderdate) AS o_year,
         l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
  FROM part, supplier, lineitem, partsupp, orders, nation
  WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
    AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%green%') profit
GROUP BY nation, o_year ORDER BY nation, o_year DESC
-- name: t10
-- index: orders (o_orderdate)
SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem, nation
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01'
  AND o_orderdate < date '1993-10-01' + interval '3 month' AND l_returnflag = 'R' AND c_nationkey = n_nationkey
GROUP BY c_custkey, c_name ORDER BY revenue DESC LIMIT 20
-- name: t11
-- index: partsupp (ps_suppkey) INCLUDE (ps_supplycost, ps_availqty)
SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation
WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'NATION 07' GROUP BY ps_partkey
HAVING sum(ps_supplycost * ps_availqty) > (SELECT sum(ps_supplycost * ps_availqty) * 0.0001 FROM partsupp, supplier, nation
   WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'NATION 07') ORDER BY value DESC
-- name: t12
-- index: lineitem (l_receiptdate)
SELECT l_shipmode, sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END)
FROM orders, lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate
  AND l_shipdate < l_commitdate AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1994-01-01' + interval '1 year'
GROUP BY l_shipmode ORDER BY l_shipmode
-- name: t13
SELECT c_count, count(*) AS custdist FROM (
  SELECT c_custkey, count(o_orderkey) AS c_count FROM customer LEFT JOIN orders ON c_custkey = o_custkey
   AND o_comment NOT LIKE '%special%requests%' GROUP BY c_custkey) c_orders
GROUP BY c_count ORDER BY custdist DESC, c_count DESC
-- name: t14
-- index: lineitem (l_shipdate)
SELECT 100.0 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
       / sum(l_extendedprice * (1 - l_discount)) FROM lineitem, part
WHERE l_partkey = p_partkey AND l_shipdate >= date '1995-09-01' AND l_shipdate < date '1995-09-01' + interval '1 month'
-- name: t15
-- index: lineitem (l_shipdate)
WITH revenue AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue FROM lineitem
  WHERE l_shipdate >= date '1996-01-01' AND l_shipdate < date '1996-01-01' + interval '3 month' GROUP BY l_suppkey)
SELECT s_suppkey, s_name, total_revenue FROM supplier, revenue WHERE s_suppkey = supplier_no
  AND total_revenue = (SELECT max(total_revenue) FROM revenue) ORDER BY s_suppkey
-- name: t16
SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp, part
WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%'
  AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
  AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size
-- name: t17
-- index: lineitem (l_partkey) INCLUDE (l_quantity)
-- index: part (p_brand, p_container)
SELECT sum(l_extendedprice) / 7.0 FROM lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#23'
  AND p_container = 'MED BOX' AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)
-- name: t18
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) FROM customer, orders, lineitem
WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 150)
  AND c_custkey = o_custkey AND o_orderkey = l_orderkey GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
ORDER BY o_totalprice DESC, o_orderdate LIMIT 100
-- name: t19
-- index: lineitem (l_partkey)
SELECT sum(l_extendedprice * (1 - l_discount)) FROM lineitem, part WHERE
 (p_partkey = l_partkey AND p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK') AND l_quantity BETWEEN 1 AND 11
  AND p_size BETWEEN 1 AND 5 AND l_shipmode IN ('AIR', 'REG AIR') AND l_shipinstruct = 'DELIVER IN PERSON')
 OR (p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PACK') AND l_quantity BETWEEN 10 AND 20
  AND p_size BETWEEN 1 AND 10 AND l_shipmode IN ('AIR', 'REG AIR') AND l_shipinstruct = 'DELIVER IN PERSON')
-- name: t20
-- index: lineitem (l_partkey, l_suppkey)
SELECT s_name FROM supplier, nation WHERE s_suppkey IN (
  SELECT ps_suppkey FROM partsupp WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
   AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey
                      AND l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1 year'))
 AND s_nationkey = n_nationkey AND n_name = 'NATION 03' ORDER BY s_name
-- name: t21
-- index: lineitem (l_suppkey)
SELECT s_name, count(*) AS numwait FROM supplier, lineitem l1, orders, nation
WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
  AND EXISTS (SELECT 1 FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
  AND NOT EXISTS (SELECT 1 FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
                  AND l3.l_receiptdate > l3.l_commitdate)
  AND s_nationkey = n_nationkey AND n_name = 'NATION 20' GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100
-- name: t22
-- index: orders (o_custkey)
SELECT cntrycode, count(*), sum(c_acctbal) FROM (
  SELECT substring(c_phone FROM 1 FOR 2) AS cntrycode, c_acctbal FROM customer
  WHERE substring(c_phone FROM 1 FOR 2) IN ('13', '31', '23', '29', '30', '18', '17')
   AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00
                    AND substring(c_phone FROM 1 FOR 2) IN ('13', '31', '23', '29', '30', '18', '17'))
   AND NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey)) custsale
GROUP BY cntrycode ORDER BY cntrycode
