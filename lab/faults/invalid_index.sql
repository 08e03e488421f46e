-- The writer's lock is the one that any INSERT takes; a build waits for whoever holds it.

-- name: write
LOCK TABLE public.orders IN ROW EXCLUSIVE MODE;

-- name: be_impatient
SET lock_timeout = '200ms';

-- name: build
CREATE INDEX CONCURRENTLY orders_customer_recent_idx ON public.orders (customer_id, placed_at);

-- name: drop_replacement
DROP INDEX CONCURRENTLY IF EXISTS public.orders_customer_recent_idx;

-- name: drop_old
DROP INDEX public.orders_customer_idx;
