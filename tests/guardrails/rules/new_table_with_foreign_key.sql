-- objected
CREATE TABLE vouchers (id bigint, order_id bigint REFERENCES orders (id));

-- passed
CREATE TABLE vouchers (id bigint, order_id bigint);
