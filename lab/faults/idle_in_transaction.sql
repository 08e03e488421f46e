-- Placing an order takes a key-share lock on its customer, which FOR UPDATE keeps out. Customers are asked for by
-- u², so a tenth of them place a third of the orders.

-- name: lock_customers
SELECT id, email, country FROM public.customers
WHERE id <= (SELECT max(id) / 10 FROM public.customers) ORDER BY id FOR UPDATE;
