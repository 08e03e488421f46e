-- objected
ALTER SYSTEM SET max_wal_size = '8GB';

ALTER SYSTEM RESET ALL;

-- passed
ALTER ROLE app SET work_mem = '64MB';

SET work_mem = '64MB';
