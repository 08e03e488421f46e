-- Long-term memory: closed incidents as cases, and the lessons counted over them. Both are made by the worker from
-- closed postmortems alone; a person may confirm a lesson, and nobody else writes to one.
CREATE TABLE stanch.past_case (
    incident_id bigint PRIMARY KEY REFERENCES stanch.incident,
    alertname   text NOT NULL,
    service     text,
    cause       text,
    expires     timestamptz NOT NULL,
    body        jsonb NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX past_case_by_alert ON stanch.past_case (alertname, incident_id DESC) WHERE cause IS NOT NULL;
CREATE INDEX past_case_by_service ON stanch.past_case (service, incident_id DESC) WHERE cause IS NOT NULL;
CREATE INDEX past_case_by_cause ON stanch.past_case (cause, incident_id DESC) WHERE cause IS NOT NULL;

CREATE TABLE stanch.lesson (
    id           text PRIMARY KEY,
    body         jsonb NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_by text,
    confirmed_at timestamptz
);

GRANT SELECT ON stanch.past_case, stanch.lesson TO stanch_api, stanch_agent, stanch_executor;
GRANT INSERT, UPDATE ON stanch.past_case TO stanch_agent;
GRANT INSERT, UPDATE (body, updated_at) ON stanch.lesson TO stanch_agent;
GRANT UPDATE (confirmed_by, confirmed_at) ON stanch.lesson TO stanch_api;

-- What is closed already is remembered by the worker, as if it closed now; the newest are enough to begin with.
INSERT INTO stanch.step (incident_id, kind, queue)
SELECT p.incident_id, 'remember', 'agent'
FROM stanch.postmortem p JOIN stanch.incident i ON i.id = p.incident_id
WHERE i.state = 'closed' AND i.cause IS NOT NULL
ORDER BY p.incident_id DESC LIMIT 500;
