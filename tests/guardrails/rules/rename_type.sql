-- objected
ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy';

ALTER TYPE mood RENAME TO feeling;

-- passed
ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad';
