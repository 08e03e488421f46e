-- name: serving
-- One on customer_id alone is enough: a customer has few orders, so sorting them costs nothing.
SELECT classes.relname::text
FROM pg_index AS indexes
JOIN pg_class AS classes ON classes.oid = indexes.indexrelid
WHERE indexes.indrelid = 'public.orders'::regclass
    AND indexes.indisvalid
    AND indexes.indpred IS NULL
    AND pg_get_indexdef(indexes.indexrelid, 1, true) = 'customer_id';

-- name: drop
DROP INDEX public.orders_customer_idx;

-- name: drop_remains
-- What an interrupted concurrent build leaves behind.
DROP INDEX CONCURRENTLY IF EXISTS public.orders_customer_idx;

-- name: create
CREATE INDEX CONCURRENTLY orders_customer_idx ON public.orders (customer_id, placed_at);
