-- objected
ALTER TABLE users ADD CONSTRAINT u UNIQUE (email);

ALTER TABLE users ADD COLUMN email text UNIQUE;

-- passed
ALTER TABLE users ADD CONSTRAINT u UNIQUE USING INDEX users_email;

CREATE UNIQUE INDEX CONCURRENTLY users_email ON users (email);
