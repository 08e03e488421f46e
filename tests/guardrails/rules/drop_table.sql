-- objected
DROP TABLE orders;

DROP TABLE IF EXISTS orders CASCADE;

-- passed
CREATE TABLE scratch (id int); DROP TABLE scratch;
