-- objected
PREPARE TRANSACTION 'x';

-- passed
COMMIT;
