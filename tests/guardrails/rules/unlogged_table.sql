-- objected
CREATE UNLOGGED TABLE carts (id bigint);

-- passed
CREATE TABLE carts (id bigint);
