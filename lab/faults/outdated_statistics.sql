-- The indexes lead to a category's rows, a few hundred, and to a day's: none in the statistics, all that are loaded
-- in truth. DELETE keeps the day that was there before: the oldest.

-- name: stop_autovacuum
ALTER TABLE public.daily_prices SET (autovacuum_enabled = off);

-- name: load
INSERT INTO public.daily_prices (product_id, category_id, country, valid_on, price_cents)
SELECT products.id, products.category_id, countries.code, CURRENT_DATE, products.price_cents - products.price_cents / 10
FROM public.products CROSS JOIN unnest(ARRAY['DE', 'FR', 'NL', 'AT', 'PL', 'ES']) AS countries (code);

-- name: is_loaded
SELECT 1 FROM public.daily_prices WHERE valid_on > (SELECT min(valid_on) FROM public.daily_prices) LIMIT 1;

-- name: unload
DELETE FROM public.daily_prices WHERE valid_on > (SELECT min(valid_on) FROM public.daily_prices);

-- name: start_autovacuum
ALTER TABLE public.daily_prices RESET (autovacuum_enabled);

-- name: vacuum
VACUUM (ANALYZE) public.daily_prices;
