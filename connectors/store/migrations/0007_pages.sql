-- What the overview counts, as columns: a cast from jsonb for each of ten thousand incidents would be most of its time.
ALTER TABLE stanch.incident
    ADD COLUMN impact_start timestamptz, ADD COLUMN detected timestamptz, ADD COLUMN diagnosed timestamptz,
    ADD COLUMN proposed timestamptz, ADD COLUMN decided timestamptz, ADD COLUMN exec_start timestamptz,
    ADD COLUMN exec_end timestamptz, ADD COLUMN restored timestamptz, ADD COLUMN verified timestamptz,
    ADD COLUMN cause text;

CREATE FUNCTION stanch.note_milestones() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.impact_start := (NEW.milestones ->> 'impact_start')::timestamptz;
    NEW.detected := (NEW.milestones ->> 'detected')::timestamptz;
    NEW.diagnosed := (NEW.milestones ->> 'diagnosed')::timestamptz;
    NEW.proposed := (NEW.milestones ->> 'proposed')::timestamptz;
    NEW.decided := (NEW.milestones ->> 'decided')::timestamptz;
    NEW.exec_start := (NEW.milestones ->> 'exec_start')::timestamptz;
    NEW.exec_end := (NEW.milestones ->> 'exec_end')::timestamptz;
    NEW.restored := (NEW.milestones ->> 'restored')::timestamptz;
    NEW.verified := (NEW.milestones ->> 'verified')::timestamptz;
    NEW.cause := NEW.working -> 'conclusion' ->> 'cause';
    RETURN NEW;
END
$$;
CREATE TRIGGER note_milestones BEFORE INSERT OR UPDATE ON stanch.incident
    FOR EACH ROW EXECUTE FUNCTION stanch.note_milestones();

-- The incidents that are there already. Nothing of theirs changes, so no version does.
ALTER TABLE stanch.incident DISABLE TRIGGER hold_transition;
UPDATE stanch.incident SET cause = NULL;
ALTER TABLE stanch.incident ENABLE TRIGGER hold_transition;

CREATE INDEX incident_by_alert ON stanch.incident ((labels ->> 'alertname'), id DESC);
CREATE INDEX incident_by_cause ON stanch.incident (cause, id DESC) WHERE cause IS NOT NULL;
CREATE INDEX proposal_by_time ON stanch.proposal (created_at);
CREATE INDEX decision_by_time ON stanch.decision (at);
CREATE INDEX inbox_by_source ON stanch.inbox (source, received_at DESC);

-- What people wrote into a postmortem, every version of it. What Stanch wrote stays in stanch.postmortem.
CREATE TABLE stanch.postmortem_edit (
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    revision    int NOT NULL CHECK (revision >= 1),
    person      text NOT NULL,
    body        text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (incident_id, revision)
);
GRANT SELECT ON stanch.postmortem_edit TO stanch_api, stanch_agent, stanch_executor;
GRANT INSERT ON stanch.postmortem_edit TO stanch_api;
