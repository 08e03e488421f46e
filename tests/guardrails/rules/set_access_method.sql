-- objected
ALTER TABLE orders SET ACCESS METHOD columnar;

-- passed
CREATE TABLE archive (id bigint) USING columnar;
