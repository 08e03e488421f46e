-- objected
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

ALTER DOMAIN positive ADD CONSTRAINT c CHECK (VALUE > 1);

-- passed
CREATE DOMAIN amount AS numeric;
