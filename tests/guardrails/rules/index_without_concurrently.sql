-- objected
CREATE INDEX i ON orders (customer_id);

CREATE UNIQUE INDEX ON public.orders (lower(email)) WHERE email IS NOT NULL;

-- passed
CREATE INDEX CONCURRENTLY i ON orders (customer_id);

CREATE TABLE fresh (id bigint); CREATE INDEX ON fresh (id);

CREATE INDEX i ON ONLY measurements (at);
