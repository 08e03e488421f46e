-- name: open_report
DECLARE every_order NO SCROLL CURSOR FOR SELECT id, customer_id, placed_at, total_cents FROM public.orders;

-- name: next_page
FETCH FORWARD 200 FROM every_order;

-- name: add_column
ALTER TABLE public.orders ADD COLUMN gift_note text;

-- name: has_column
SELECT 1 FROM pg_attribute
WHERE attrelid = 'public.orders'::regclass AND attname = 'gift_note' AND NOT attisdropped;

-- name: drop_column
ALTER TABLE public.orders DROP COLUMN IF EXISTS gift_note;
