-- objected
DROP DATABASE shop;

DROP DATABASE IF EXISTS shop WITH (FORCE);

-- passed
CREATE DATABASE shop_copy;
