-- objected
ALTER TYPE mood ADD VALUE 'calm';

-- passed
ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad';
