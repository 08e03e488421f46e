-- As many an import does it: a table is filled out of everybody's sight and attached to the one that is read. Its
-- statistics are of the moment when it held what that one holds, the day before: none of today. Its indexes lead to a
-- category's rows, a few hundred, and to a day's, by the statistics none and in truth all that were loaded.

-- name: is_attached
SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass('public.daily_prices_next');

-- name: copy
CREATE TABLE public.daily_prices_next (LIKE public.daily_prices) WITH (autovacuum_enabled = off);
ALTER TABLE public.daily_prices_next OWNER TO shop_owner;
INSERT INTO public.daily_prices_next SELECT * FROM public.daily_prices;
CREATE INDEX ON public.daily_prices_next (category_id);
CREATE INDEX ON public.daily_prices_next (valid_on);

-- name: analyse
ANALYZE public.daily_prices_next;

-- name: load
INSERT INTO public.daily_prices_next (product_id, category_id, country, valid_on, price_cents)
SELECT products.id, products.category_id, countries.code, CURRENT_DATE, products.price_cents - products.price_cents / 10
FROM public.products CROSS JOIN unnest(ARRAY['DE', 'FR', 'NL', 'AT']) AS countries (code);

-- name: attach
ALTER TABLE public.daily_prices_next INHERIT public.daily_prices;

-- name: drop
DROP TABLE IF EXISTS public.daily_prices_next;
