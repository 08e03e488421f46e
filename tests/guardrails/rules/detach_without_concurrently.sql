-- objected
ALTER TABLE measurements DETACH PARTITION measurements_2024;

-- passed
ALTER TABLE measurements DETACH PARTITION measurements_2024 CONCURRENTLY;

ALTER TABLE measurements DETACH PARTITION measurements_2024 FINALIZE;
