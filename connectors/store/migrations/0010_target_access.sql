-- What a worker or an executor found when it last looked at a target; the API, which holds no way to one, shows it.
CREATE TABLE stanch.target_access (
    target     text NOT NULL,
    connection text NOT NULL CHECK (connection IN ('diagnose', 'fix')),
    ok         boolean NOT NULL,
    detail     jsonb NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, connection)
);
GRANT SELECT ON stanch.target_access TO stanch_api;
GRANT SELECT, INSERT, UPDATE ON stanch.target_access TO stanch_agent, stanch_executor;
