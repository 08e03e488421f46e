-- objected
CREATE TABLE fresh (id int PRIMARY KEY);

CREATE TABLE fresh (id serial PRIMARY KEY);

-- passed
CREATE TABLE fresh (id bigint PRIMARY KEY);
