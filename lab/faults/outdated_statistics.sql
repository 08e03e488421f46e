-- As many an import does it: a copy of the table is filled out of everybody's sight and swapped in. Its statistics are of
-- the moment when it held what the table holds, the day before: none of today. Its indexes lead to a category's rows, a
-- few hundred, and to a day's, by the statistics none and in truth all that were loaded.

-- name: is_swapped
SELECT 1 FROM pg_class WHERE oid = to_regclass('public.daily_prices_before');

-- name: copy
CREATE TABLE public.daily_prices_next (LIKE public.daily_prices) WITH (autovacuum_enabled = off);
ALTER TABLE public.daily_prices_next OWNER TO shop_owner;
INSERT INTO public.daily_prices_next SELECT * FROM public.daily_prices;
CREATE INDEX ON public.daily_prices_next (category_id);
CREATE INDEX ON public.daily_prices_next (valid_on);
DO $$
DECLARE
    known record;
BEGIN
    FOR known IN
        SELECT grantee::regrole AS role, privilege_type AS privilege
        FROM pg_class, aclexplode(relacl) WHERE oid = 'public.daily_prices'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON public.daily_prices_next TO %s', known.privilege, known.role);
    END LOOP;
END
$$;

-- name: analyse
ANALYZE public.daily_prices_next;

-- name: load
INSERT INTO public.daily_prices_next (product_id, category_id, country, valid_on, price_cents)
SELECT products.id, products.category_id, countries.code, CURRENT_DATE, products.price_cents - products.price_cents / 10
FROM public.products CROSS JOIN unnest(ARRAY['DE', 'FR', 'NL', 'AT']) AS countries (code);

-- name: swap
DO $$
BEGIN
    ALTER TABLE public.daily_prices RENAME TO daily_prices_before;
    ALTER TABLE public.daily_prices_next RENAME TO daily_prices;
END
$$;

-- name: hurry
ANALYZE public.daily_prices;

-- name: swap_back
DO $$
BEGIN
    ALTER TABLE public.daily_prices RENAME TO daily_prices_next;
    ALTER TABLE public.daily_prices_before RENAME TO daily_prices;
END
$$;

-- name: drop_copy
DROP TABLE IF EXISTS public.daily_prices_next;
