-- objected
ALTER SCHEMA billing RENAME TO invoices;

-- passed
ALTER SCHEMA billing OWNER TO app;
