-- name: parcels
-- A parcel carrier's database: 4.85 M rows, primary keys only, skewed as real ones are. Rows are a function of their
-- number, so that every run has the same ones.
CREATE TABLE account (
    id int PRIMARY KEY, email text NOT NULL, region smallint NOT NULL, plan text NOT NULL, active boolean NOT NULL,
    referrer_id int, signed_up_at timestamptz NOT NULL, profile jsonb NOT NULL);
INSERT INTO account
SELECT g, 'User.' || g || '@' || CASE WHEN g % 7 = 0 THEN 'Example.ORG' ELSE 'Mail.example' END, g * 7919::bigint % 40,
       CASE WHEN g % 100 = 0 THEN 'enterprise' WHEN g % 10 = 0 THEN 'pro' ELSE 'free' END, g % 12 <> 0,
       CASE WHEN g % 3 = 0 THEN g / 3 END, timestamptz '2022-01-01 00:00Z' + g * interval '10 minutes',
       jsonb_build_object('lang', (ARRAY['en', 'de', 'fr', 'tr', 'ja'])[1 + g % 5], 'vat', 'EU' || g % 50000,
                          'flags', jsonb_build_array('f' || g % 9, 'g' || g % 700))
FROM generate_series(1, 200000) g;

CREATE TABLE device (
    id int PRIMARY KEY, account_id int NOT NULL, serial text NOT NULL, model smallint NOT NULL, firmware text NOT NULL,
    seen_at timestamp NOT NULL);
INSERT INTO device
SELECT g, 1 + (g * 48271::bigint) % 200000, 'SN-' || upper(substr(md5(g::text), 1, 10)), g % 60, '4.' || g % 13,
       timestamp '2026-01-01' - (g * 7919::bigint % 31536000) * interval '1 second'
FROM generate_series(1, 400000) g;

CREATE TABLE shipment (
    id int PRIMARY KEY, account_id int NOT NULL, carrier smallint NOT NULL, state text NOT NULL,
    created_at timestamptz NOT NULL, delivered_at timestamptz, weight_g int NOT NULL, price_cents int NOT NULL,
    tags text[] NOT NULL);
INSERT INTO shipment
SELECT g, 1 + floor(200000 * power((g * 16807::bigint % 1000003) / 1000003.0, 2))::int, (g * 31) % 25,
       CASE WHEN g % 200 = 0 THEN 'lost' WHEN g % 201 = 0 THEN 'held' WHEN g % 31 = 0 THEN 'transit' ELSE 'delivered' END,
       timestamptz '2024-01-01 00:00Z' + g * interval '1 minute',
       CASE WHEN g % 200 <> 0 AND g % 201 <> 0 AND g % 31 <> 0
            THEN timestamptz '2024-01-01 00:00Z' + g * interval '1 minute' + (g % 7) * interval '1 day' END,
       50 + (g * 7919::bigint % 30000)::int, 300 + (g * 104729::bigint % 20000)::int,
       CASE WHEN g % 400 = 0 THEN ARRAY['fragile', 'r' || g % 9] WHEN g % 3 = 0 THEN ARRAY['std'] ELSE '{}' END
FROM generate_series(1, 900000) g;

CREATE TABLE parcel (
    id int PRIMARY KEY, shipment_id int NOT NULL, product text NOT NULL, quantity int NOT NULL, unit_cents int NOT NULL,
    returned boolean NOT NULL);
INSERT INTO parcel
SELECT g, 1 + (g * 22695479::bigint) % 900000, chr(65 + g % 26) || chr(65 + (g / 26) % 26) || '-' || lpad((g % 90000)::text, 6, '0'),
       1 + g % 9, 100 + (g * 7919::bigint % 9000)::int, g % 250 = 0
FROM generate_series(1, 1300000) g;

CREATE TABLE scan (
    id int PRIMARY KEY, parcel_id int NOT NULL, depot smallint NOT NULL, kind text NOT NULL, at timestamptz NOT NULL,
    note text);
INSERT INTO scan
SELECT g, 1 + (g * 69621::bigint) % 1300000, (g * 131) % 90,
       CASE WHEN g % 997 = 0 THEN 'damage' WHEN g % 53 = 0 THEN 'customs' WHEN g % 2 = 0 THEN 'in' ELSE 'out' END,
       timestamptz '2025-01-01 00:00Z' + g * interval '20 seconds', CASE WHEN g % 40 = 0 THEN 'photo ' || g END
FROM generate_series(1, 1500000) g;

CREATE TABLE payment (
    id int PRIMARY KEY, shipment_id int NOT NULL, account_id int NOT NULL, method text NOT NULL, status text NOT NULL,
    amount_cents int NOT NULL, paid_on date NOT NULL);
INSERT INTO payment
SELECT g, 1 + (g * 7368787::bigint) % 900000, 1 + (g * 48271::bigint) % 200000, (ARRAY['card', 'sepa', 'invoice'])[1 + g % 3],
       CASE WHEN g % 333 = 0 THEN 'disputed' WHEN g % 50 = 0 THEN 'open' ELSE 'settled' END,
       300 + (g * 104729::bigint % 20000)::int, date '2024-01-01' + (g % 700)::int
FROM generate_series(1, 400000) g;

CREATE TABLE ticket (
    id int PRIMARY KEY, account_id int NOT NULL, agent smallint, priority smallint NOT NULL, opened_at timestamptz NOT NULL,
    closed_at timestamptz, subject text NOT NULL, body text NOT NULL);
INSERT INTO ticket
SELECT g, 1 + (g * 69621::bigint) % 200000, CASE WHEN g % 5 <> 0 THEN g % 80 END, 1 + g % 4,
       timestamptz '2025-01-01 00:00Z' + g * interval '3 minutes',
       CASE WHEN g % 60 <> 0 THEN timestamptz '2025-01-01 00:00Z' + g * interval '3 minutes' + (g % 90) * interval '1 hour' END,
       (ARRAY['Late', 'Lost', 'Wrong address', 'Refund', 'Damaged'])[1 + g % 5] || ' parcel ' || g % 9000,
       repeat('the parcel has not come yet ', 3) || CASE WHEN g % 3000 = 0 THEN 'water leak in depot' ELSE 'please look' END
FROM generate_series(1, 150000) g;

CREATE TABLE carrier (id smallint PRIMARY KEY, name text NOT NULL, country text NOT NULL);
INSERT INTO carrier SELECT g, 'Carrier ' || g, (ARRAY['DE', 'FR', 'TR', 'JP', 'US'])[1 + g % 5] FROM generate_series(0, 24) g;

-- name: tpch
-- The eight tables of TPC-H in shape and proportion at scale 0.1, filled by arithmetic, primary keys only.
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text NOT NULL);
INSERT INTO region SELECT g, (ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'])[g + 1] FROM generate_series(0, 4) g;
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text NOT NULL, n_regionkey int NOT NULL);
INSERT INTO nation SELECT g, 'NATION ' || lpad(g::text, 2, '0'), g % 5 FROM generate_series(0, 24) g;
CREATE TABLE supplier (
    s_suppkey int PRIMARY KEY, s_name text NOT NULL, s_nationkey int NOT NULL, s_acctbal numeric NOT NULL, s_comment text NOT NULL);
INSERT INTO supplier
SELECT g, 'Supplier#' || g, (g * 7) % 25, (g * 7919 % 1099900 - 99900) / 100.0,
       CASE WHEN g % 200 = 0 THEN 'Customer Complaints here' ELSE 'quiet deposits' END
FROM generate_series(1, 1000) g;
CREATE TABLE customer (
    c_custkey int PRIMARY KEY, c_name text NOT NULL, c_nationkey int NOT NULL, c_phone text NOT NULL, c_acctbal numeric NOT NULL,
    c_mktsegment text NOT NULL);
INSERT INTO customer
SELECT g, 'Customer#' || g, (g * 11) % 25, (10 + g % 25) || '-' || 100 + g % 900 || '-' || g,
       (g * 104729::bigint % 1099900 - 99900) / 100.0,
       (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'MACHINERY', 'HOUSEHOLD'])[1 + (g * 31) % 5]
FROM generate_series(1, 15000) g;
CREATE TABLE part (
    p_partkey int PRIMARY KEY, p_name text NOT NULL, p_brand text NOT NULL, p_type text NOT NULL, p_size int NOT NULL,
    p_container text NOT NULL);
INSERT INTO part
SELECT g, (ARRAY['forest', 'green', 'azure', 'salmon', 'peach', 'ivory', 'lime', 'navy', 'rose', 'tan'])[1 + g % 10] || ' '
       || (ARRAY['green', 'snow', 'steel', 'white', 'linen'])[1 + (g / 10) % 5],
       'Brand#' || 1 + g % 5 || 1 + (g / 5) % 5,
       (ARRAY['STANDARD', 'SMALL', 'MEDIUM', 'LARGE', 'ECONOMY', 'PROMO'])[1 + g % 6] || ' '
       || (ARRAY['ANODIZED', 'BURNISHED', 'PLATED', 'POLISHED', 'BRUSHED'])[1 + (g / 6) % 5] || ' '
       || (ARRAY['TIN', 'NICKEL', 'BRASS', 'STEEL', 'COPPER'])[1 + (g / 30) % 5],
       1 + (g * 7) % 50, (ARRAY['SM', 'LG', 'MED', 'JUMBO', 'WRAP'])[1 + g % 5] || ' ' || (ARRAY['CASE', 'BOX', 'BAG', 'JAR', 'PKG',
       'PACK', 'CAN', 'DRUM'])[1 + (g / 5) % 8]
FROM generate_series(1, 20000) g;
CREATE TABLE partsupp (
    ps_partkey int NOT NULL, ps_suppkey int NOT NULL, ps_availqty int NOT NULL, ps_supplycost numeric NOT NULL,
    PRIMARY KEY (ps_partkey, ps_suppkey));
INSERT INTO partsupp
SELECT p, 1 + (p + s * 250 + (p - 1) / 1000) % 1000, 1 + (p * 31 + s) % 9999, (100 + (p * 7919::bigint + s * 104729) % 99900) / 100.0
FROM generate_series(1, 20000) p, generate_series(0, 3) s;
CREATE TABLE orders (
    o_orderkey int PRIMARY KEY, o_custkey int NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice numeric NOT NULL,
    o_orderdate date NOT NULL, o_orderpriority text NOT NULL, o_comment text NOT NULL);
INSERT INTO orders
SELECT g, 1 + (g * 16807::bigint % 10000) + (g % 2) * 3000, CASE WHEN g % 2 = 0 THEN 'F' WHEN g % 40 = 1 THEN 'P' ELSE 'O' END,
       (90000 + g * 7919::bigint % 40000000) / 100.0, date '1992-01-01' + (g * 48271::bigint % 2406)::int,
       (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + (g * 13) % 5],
       CASE WHEN g % 97 = 0 THEN 'special packages requests' ELSE 'regular deposits sleep furiously' END
FROM generate_series(1, 150000) g;
CREATE TABLE lineitem (
    l_orderkey int NOT NULL, l_linenumber int NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_quantity numeric NOT NULL,
    l_extendedprice numeric NOT NULL, l_discount numeric NOT NULL, l_tax numeric NOT NULL, l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct text NOT NULL, l_shipmode text NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));
INSERT INTO lineitem
SELECT o, n, p, 1 + (p + (o + n) % 4 * 250 + (p - 1) / 1000) % 1000, 1 + (o * 7 + n * 13) % 50,
       (90000 + (o * 104729::bigint + n * 7919) % 9500000) / 100.0, ((o + n) % 11) / 100.0, ((o + n * 3) % 9) / 100.0,
       CASE WHEN shipped > date '1995-06-17' THEN 'N' WHEN (o + n) % 2 = 0 THEN 'R' ELSE 'A' END,
       CASE WHEN shipped > date '1995-06-17' THEN 'O' ELSE 'F' END, shipped, shipped + ((o * 3 + n) % 61) - 30,
       shipped + 1 + (o + n * 5) % 30, (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + (o + n) % 4],
       (ARRAY['AIR', 'REG AIR', 'MAIL', 'SHIP', 'TRUCK', 'RAIL', 'FOB'])[1 + (o * 5 + n) % 7]
FROM generate_series(1, 150000) o, generate_series(1, 4) n,
     LATERAL (SELECT 1 + ((o * 4::bigint + n) * 16807 % 20011 % 20000)::int AS p,
                     date '1992-01-01' + (o * 48271::bigint % 2406)::int + 1 + (o * 11 + n * 17) % 121 AS shipped) x;
