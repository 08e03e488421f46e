-- The executor looks at each of its ways to a target, not only at the one it builds indexes on.
ALTER TABLE stanch.target_access DROP CONSTRAINT target_access_connection_check;
ALTER TABLE stanch.target_access ADD CONSTRAINT target_access_connection_check
    CHECK (connection IN ('diagnose', 'fix', 'signal', 'admin'));
