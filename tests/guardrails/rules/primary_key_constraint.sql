-- objected
ALTER TABLE users ADD PRIMARY KEY (id);

ALTER TABLE users ADD COLUMN id bigint PRIMARY KEY;

-- passed
ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_id;
