-- What comes in from more sources than one, and what goes back to them.

-- The sender's own names of an event: a second delivery of it finds the first. event_key is inside what was signed,
-- delivery_key only beside it.
ALTER TABLE stanch.inbox ADD COLUMN event_key text, ADD COLUMN delivery_key text;
CREATE UNIQUE INDEX inbox_event_once ON stanch.inbox (source, event_key) WHERE event_key IS NOT NULL;
CREATE UNIQUE INDEX inbox_delivery_once ON stanch.inbox (source, delivery_key) WHERE delivery_key IS NOT NULL;

-- Whose alert opened the incident: it decides which targets the incident may name. Null: opened before this column.
ALTER TABLE stanch.incident ADD COLUMN source text;
CREATE INDEX incident_by_opening ON stanch.incident (opened_at);

-- PagerDuty's incident and ours. reconciled_version: of our incident, up to which PagerDuty shows what it should.
CREATE TABLE stanch.pagerduty_incident (
    id                 text PRIMARY KEY,
    incident_id        bigint NOT NULL REFERENCES stanch.incident,
    dedup_key          text,
    html_url           text,
    heard_status       text,
    heard_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    reconciled_version bigint NOT NULL DEFAULT -1,
    attempts           int NOT NULL DEFAULT 0,
    next_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    error              text,
    acknowledged_as    text
);
CREATE INDEX pagerduty_incident_by_incident ON stanch.pagerduty_incident (incident_id);

-- What was sent, for people and for the audit. Nothing is decided by it: PagerDuty is asked first, each time.
CREATE TABLE stanch.pagerduty_sent (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pagerduty_id text NOT NULL,
    incident_id  bigint NOT NULL REFERENCES stanch.incident,
    what         text NOT NULL,
    text         text,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX pagerduty_sent_by_incident ON stanch.pagerduty_sent (incident_id);

-- Silences of ours in Alertmanager, so that each is taken away again.
CREATE TABLE stanch.silence (
    id          text PRIMARY KEY,
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    matchers    jsonb NOT NULL,
    ends_at     timestamptz NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at  timestamptz,
    settled_at  timestamptz
);
CREATE INDEX silence_unsettled ON stanch.silence (incident_id) WHERE settled_at IS NULL;

-- How the systems round us are, as last seen by the API process.
CREATE TABLE stanch.integration (
    name text PRIMARY KEY,
    ok   boolean NOT NULL,
    says text NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT ON stanch.pagerduty_incident, stanch.pagerduty_sent, stanch.silence, stanch.integration
    TO stanch_api, stanch_agent, stanch_executor;
GRANT INSERT ON stanch.pagerduty_incident TO stanch_agent;
GRANT UPDATE (incident_id, dedup_key, html_url, heard_status, heard_at, reconciled_version, attempts, next_at)
    ON stanch.pagerduty_incident TO stanch_agent;
GRANT UPDATE (reconciled_version, attempts, next_at, error, acknowledged_as)
    ON stanch.pagerduty_incident TO stanch_api;
GRANT INSERT ON stanch.pagerduty_sent, stanch.silence, stanch.integration TO stanch_api;
GRANT UPDATE (ends_at, removed_at, settled_at) ON stanch.silence TO stanch_api;
GRANT UPDATE (ok, says, at) ON stanch.integration TO stanch_api;
