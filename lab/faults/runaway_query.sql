-- About a millisecond a row, two million rows. The first two make the planner generous with workers.

-- name: more_workers
SET max_parallel_workers_per_gather = 6;

-- name: small_pieces
SET min_parallel_table_scan_size = '1MB';

-- name: take_apart
SELECT shipping_country, count(*), sum(length(regexp_replace(repeat(payment_reference, 100), '[aeiou_]+|[0-9]{3}', '', 'g')))
FROM public.orders GROUP BY shipping_country ORDER BY count(*) DESC;
