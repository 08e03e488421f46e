-- objected
DROP FUNCTION total(bigint);

DROP TYPE IF EXISTS mood;

-- passed
CREATE TYPE mood AS ENUM ('sad', 'ok');
