-- objected
CREATE TABLE fresh (code char(3));

-- passed
CREATE TABLE fresh (code text);
