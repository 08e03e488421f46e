-- objected
ALTER TABLE bookings ADD CONSTRAINT e EXCLUDE USING gist (room WITH =, during WITH &&);

-- passed
CREATE TABLE bookings_new (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
