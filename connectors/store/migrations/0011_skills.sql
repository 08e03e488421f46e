-- Every version of every skill, never changed once it is there; which one is in use is the newest promotion.
CREATE TABLE stanch.skill_version (
    name       text NOT NULL,
    version    int NOT NULL CHECK (version >= 1),
    sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    files      jsonb NOT NULL,
    parent     text,
    source     text NOT NULL CHECK (source IN ('seed', 'learn', 'human')),
    note       text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version),
    UNIQUE (name, sha256)
);

-- sha256 null: the skill is retired and nothing is in use under its name.
CREATE TABLE stanch.skill_promotion (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   text NOT NULL,
    sha256 text,
    person text NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (name, sha256) REFERENCES stanch.skill_version (name, sha256)
);
CREATE INDEX skill_promotion_by_name ON stanch.skill_promotion (name, id DESC);

-- Counted beside what a check said: whose alerts taught it, so that no one of them outweighs the rest, and which text
-- of the skill asked.
ALTER TABLE stanch.skill_count ADD COLUMN origin text NOT NULL DEFAULT '', ADD COLUMN sha256 text;

-- The tree's skills come with whoever starts first; people revert through the API, the learning loop runs as the agent.
GRANT SELECT ON stanch.skill_version, stanch.skill_promotion TO stanch_api, stanch_agent, stanch_executor;
GRANT INSERT ON stanch.skill_version, stanch.skill_promotion TO stanch_api, stanch_agent;
