-- The bank wants lines of 800 characters, by amount: some 25 MB a sort in the demo's shop, and little to compare.

-- name: is_set
SELECT 1 FROM pg_roles WHERE rolname = %(role)s AND EXISTS (SELECT FROM unnest(rolconfig) AS one WHERE one ~ '^work_mem=');

-- name: report
SELECT id, rpad(payment_reference || ' ' || customer_id, 800) AS line FROM public.orders
WHERE id > (SELECT max(id) - max(id) / 80 FROM public.orders)
ORDER BY total_cents DESC, line OFFSET (SELECT max(id) / 80 - 100 FROM public.orders) LIMIT 100;
