-- The dearest of the newest orders, a fifth of all; OFFSET, as the page after them is asked for.

-- name: is_set
SELECT 1 FROM pg_roles WHERE rolname = %(role)s AND EXISTS (SELECT FROM unnest(rolconfig) AS one WHERE one ~ '^work_mem=');

-- name: report
SELECT id, customer_id, total_cents FROM public.orders
WHERE id > (SELECT max(id) - max(id) / 5 FROM public.orders)
ORDER BY total_cents DESC, id OFFSET (SELECT max(id) / 5 - 100 FROM public.orders) LIMIT 100;
