a = 1
NOT a = 1
a = b IS NULL
a < b IS NOT NULL
a = 1 AND (b = 2 OR c = 3) AND NOT (d = 4 OR e = 5)
a = 1 OR b = 2 AND c = 3
NOT (a = 1 AND b = 2)
NOT NOT a = 1
a + b * c - d / e > 1
(a + b) * c = 1
- a - (-b) - -1 = 1
a - (b - c) = a / (b / c)
a || b || 'c' = 'it''s'
(a + b)::text = a::text::varchar(3)
a::char(3) = 'x'
a::char = 'x'
a::bpchar = 'x'
a::numeric(10,2) = 1.50
a::timestamp(3) > timestamptz '2026-01-01'
a::date > date '2026-01-01' - 1
a::jsonb = '{}'
a = 1e3 OR a = 9999999999999999999
a BETWEEN 1 AND 2
a BETWEEN SYMMETRIC 2 AND 1
a IN (1, $1)
(a, b) IN ((1, 2), (3, 4))
(a, b) < (1, 2)
a LIKE 'x%'
a ILIKE $1
a ~ 'x'
a = ANY($1)
a IS TRUE
a IS DISTINCT FROM b
a IS NOT DISTINCT FROM b
coalesce(a, b, 0) = nullif(a, 0)
lower(a) = upper($1) AND abs(b) = 1
extract(dow FROM d) = 1
CASE WHEN a = 1 THEN b ELSE c END = 1
CASE a WHEN 1 THEN b WHEN 2 THEN c ELSE NULL END = 1
EXISTS (SELECT 1 FROM public.u WHERE u.a = t.a)
NOT EXISTS (SELECT 1 FROM public.u)
a = (SELECT max(b) FROM public.u)
a IN (SELECT b FROM public.u)
"a" = 1 AND T.b = 2
