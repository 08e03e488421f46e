-- The pause in the run is the printer's answer; with it the run takes hours, and no processor.

-- name: lock_customers
SELECT id FROM public.customers WHERE id <= (SELECT max(id) / 10 FROM public.customers) ORDER BY id FOR UPDATE;

-- name: write_invoices
DO $$
DECLARE
    billed record;
    owed bigint;
BEGIN
    FOR billed IN
        SELECT id FROM public.customers WHERE id <= (SELECT max(id) / 10 FROM public.customers) ORDER BY id
    LOOP
        SELECT coalesce(sum(total_cents), 0) INTO owed FROM public.orders
        WHERE customer_id = billed.id AND placed_at >= date_trunc('month', now());
        PERFORM pg_sleep(0.5);
    END LOOP;
END
$$;
