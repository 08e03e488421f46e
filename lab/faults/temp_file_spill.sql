-- The newest tenth of the orders, whole, the last page of them by price: some 50 MB a sort in the demo's shop.

-- name: is_set
SELECT 1 FROM pg_roles WHERE rolname = %(role)s AND EXISTS (SELECT FROM unnest(rolconfig) AS one WHERE one ~ '^work_mem=');

-- name: report
SELECT * FROM public.orders
WHERE id > (SELECT max(id) - max(id) / 10 FROM public.orders)
ORDER BY total_cents DESC, id OFFSET (SELECT max(id) / 10 - 100 FROM public.orders) LIMIT 100;
