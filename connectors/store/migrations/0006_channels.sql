-- What goes out to people: messages in Slack, and notices to configured receivers. Both are brought to what the store
-- says, again and again, so that an outage on the other side costs time and nothing else.

-- Of several API processes one writes to a channel, because a channel's rate limit is shared by all of them.
CREATE TABLE stanch.channel_lease (
    name  text PRIMARY KEY,
    owner text NOT NULL,
    until timestamptz NOT NULL
);

-- A signed request is taken once, whichever process it reaches.
CREATE TABLE stanch.channel_request (
    key text PRIMARY KEY,
    at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- seen_audit: the newest audit row of the incident that every message of it shows. settled: nothing can change any more.
CREATE TABLE stanch.slack_incident (
    incident_id bigint PRIMARY KEY REFERENCES stanch.incident,
    seen_audit  bigint NOT NULL DEFAULT 0,
    settled     boolean NOT NULL DEFAULT false,
    checked_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A message as posted. The row comes before the message, with the nonce its buttons carry; ts is null until Slack has
-- said it, and then nothing on it can be clicked. revision and digest: of the proposal it shows.
CREATE TABLE stanch.slack_message (
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    kind        text NOT NULL CHECK (kind IN ('incident', 'approval', 'escalation', 'timeline', 'file', 'postmortem')),
    ref         text NOT NULL DEFAULT '',
    nonce       text NOT NULL,
    revision    int,
    digest      text,
    channel     text,
    ts          text,
    stage       text,
    rendered    text,
    sent_at     timestamptz,
    error       text,
    PRIMARY KEY (incident_id, kind, ref)
);
CREATE UNIQUE INDEX slack_message_posted ON stanch.slack_message (channel, ts) WHERE ts IS NOT NULL;

-- Notices are made from the sealed chain, which has an order and no gaps. seq: the last row read.
CREATE TABLE stanch.notice_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint NOT NULL
);
CREATE TABLE stanch.notice (
    audit_id   bigint NOT NULL REFERENCES stanch.audit,
    type       text NOT NULL,
    receiver   text NOT NULL,
    body       text NOT NULL,
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'gave_up')),
    attempts   int NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
    error      text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    PRIMARY KEY (audit_id, type, receiver)
);
CREATE INDEX notice_due ON stanch.notice (not_before) WHERE state = 'waiting';

GRANT SELECT ON stanch.channel_lease, stanch.channel_request, stanch.slack_incident, stanch.slack_message,
    stanch.notice_cursor, stanch.notice TO stanch_api;
GRANT INSERT, UPDATE ON stanch.channel_lease, stanch.slack_incident, stanch.slack_message, stanch.notice_cursor,
    stanch.notice TO stanch_api;
GRANT INSERT ON stanch.channel_request TO stanch_api;
