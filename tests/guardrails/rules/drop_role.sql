-- objected
DROP ROLE app;

DROP OWNED BY app;

-- passed
CREATE ROLE app;
