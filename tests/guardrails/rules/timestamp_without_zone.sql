-- objected
CREATE TABLE fresh (at timestamp);

-- passed
CREATE TABLE fresh (at timestamptz);

CREATE TABLE fresh (at timestamp with time zone);
