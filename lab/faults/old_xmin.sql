-- The archiving job makes a transaction of each order; 130,000 of them take seconds. It tidies what is tidy already,
-- so that nothing but dead rows is left of it.

-- name: begin
BEGIN ISOLATION LEVEL REPEATABLE READ;

-- name: look
SELECT max(id), count(DISTINCT shipping_country) FROM public.orders WHERE id % 1000 = 0;

-- name: archive
DO $$
BEGIN
    FOR one IN 1..130000 LOOP
        UPDATE public.orders SET currency = upper(currency) WHERE id = one;
        COMMIT;
    END LOOP;
END
$$;

-- name: vacuum
VACUUM public.orders;
