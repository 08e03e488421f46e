-- objected
CLUSTER orders USING orders_pkey;

CLUSTER;

-- passed
ALTER TABLE orders CLUSTER ON orders_pkey;
