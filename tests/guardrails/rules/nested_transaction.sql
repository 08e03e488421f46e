-- objected
BEGIN; BEGIN; COMMIT;

COMMIT;

-- passed
BEGIN; COMMIT;
