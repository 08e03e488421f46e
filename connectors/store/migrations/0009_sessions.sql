-- Who is logged in, kept here so that a logout ends it everywhere and a restart does not. Only hashes of what a browser
-- or a script holds.
CREATE TABLE stanch.session (
    id_hash          text PRIMARY KEY,
    person           text NOT NULL,
    groups           text[] NOT NULL DEFAULT '{}',
    method           text NOT NULL CHECK (method IN ('token', 'oidc', 'proxy', 'dev')),
    authenticated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz
);

-- Personal API tokens that their owners made on the settings page.
CREATE TABLE stanch.api_token (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person     text NOT NULL,
    label      text NOT NULL,
    sha256     text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
CREATE INDEX api_token_by_person ON stanch.api_token (person);

GRANT SELECT, INSERT ON stanch.session TO stanch_api;
GRANT UPDATE (seen_at, ended_at) ON stanch.session TO stanch_api;
GRANT SELECT, INSERT ON stanch.api_token TO stanch_api;
GRANT UPDATE (revoked_at) ON stanch.api_token TO stanch_api;
