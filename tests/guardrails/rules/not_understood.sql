-- objected
DO $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$;

CALL clean_up();

ALTER TABLE orders FROBNICATE;

-- passed
SELECT 1;
