-- objected
ALTER TYPE pair ADD ATTRIBUTE z int;

-- passed
ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad';
