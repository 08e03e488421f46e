-- The store. One transition is one transaction: a conditional UPDATE, the steps it causes, an audit row.
-- The step table is the outbox. Only this database's clock decides leases and expiry.

CREATE SCHEMA IF NOT EXISTS stanch;
REVOKE ALL ON SCHEMA stanch FROM PUBLIC;

-- Roles are cluster-wide. They come without a password: the operator sets one, or maps them otherwise.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['stanch_api', 'stanch_agent', 'stanch_executor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

-- What came in, byte for byte. jsonb refuses NUL, lone surrogates and NaN, and a refused insert would lose the alert.
CREATE TABLE stanch.inbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt     uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    source      text NOT NULL,
    headers     jsonb NOT NULL DEFAULT '{}',
    body        bytea NOT NULL,
    state       text NOT NULL DEFAULT 'stored' CHECK (state IN ('stored', 'processed', 'quarantined')),
    reason      text,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inbox_quarantined ON stanch.inbox (received_at) WHERE state = 'quarantined';

CREATE TABLE stanch.incident (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state           text NOT NULL DEFAULT 'received',
    outcome         text CHECK (outcome IN ('recovered', 'not_recovered', 'regressed', 'inconclusive',
                                            'self_resolved', 'no_action')),
    version         bigint NOT NULL DEFAULT 0,
    correlation_key text NOT NULL,
    title           text NOT NULL,
    service         text,
    severity        text,
    target          text,
    mode            text CHECK (mode IN ('observe', 'propose', 'act')),
    skill           text,
    labels          jsonb NOT NULL DEFAULT '{}',
    annotations     jsonb NOT NULL DEFAULT '{}',
    working         jsonb NOT NULL DEFAULT '{}',
    milestones      jsonb NOT NULL DEFAULT '{}',
    opened_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX incident_open_once ON stanch.incident (correlation_key)
    WHERE state NOT IN ('resolved', 'self_resolved', 'closed');
CREATE INDEX incident_by_state ON stanch.incident (state, id DESC);

CREATE TABLE stanch.alert (
    fingerprint   text NOT NULL,
    starts_at     timestamptz NOT NULL,
    incident_id   bigint NOT NULL REFERENCES stanch.incident,
    source        text NOT NULL,
    status        text NOT NULL CHECK (status IN ('firing', 'resolved')),
    labels        jsonb NOT NULL,
    annotations   jsonb NOT NULL,
    generator_url text,
    ends_at       timestamptz,
    seen          bigint NOT NULL DEFAULT 1,
    first_seen    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (fingerprint, starts_at)
);
CREATE INDEX alert_by_incident ON stanch.alert (incident_id);

CREATE TABLE stanch.step (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint REFERENCES stanch.incident,
    kind         text NOT NULL,
    queue        text NOT NULL CHECK (queue IN ('agent', 'causal', 'execute', 'api')),
    args         jsonb NOT NULL DEFAULT '{}',
    state        text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'done', 'failed')),
    attempts     int NOT NULL DEFAULT 0,
    fence        bigint NOT NULL DEFAULT 0,
    owner        text,
    lease_until  timestamptz,
    not_before   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz
);
CREATE INDEX step_due ON stanch.step (queue, not_before) WHERE state IN ('ready', 'running');
CREATE INDEX step_by_incident ON stanch.step (incident_id);

CREATE TABLE stanch.evidence (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    step_id     bigint NOT NULL REFERENCES stanch.step,
    fence       bigint NOT NULL,
    name        text NOT NULL,
    tool        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('yes', 'no', 'not_visible', 'note')),
    summary     text NOT NULL,
    body        bytea NOT NULL,
    sha256      text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX evidence_by_incident ON stanch.evidence (incident_id, id);

CREATE TABLE stanch.proposal (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    incident_id      bigint NOT NULL REFERENCES stanch.incident,
    revision         int NOT NULL,
    action           text NOT NULL,
    params           jsonb NOT NULL,
    target           text NOT NULL,
    command          text NOT NULL,
    cleanup          text NOT NULL,
    rollback         text NOT NULL,
    document         jsonb NOT NULL,
    digest           text NOT NULL,
    verdict          jsonb NOT NULL,
    facts            jsonb NOT NULL,
    decide_by        timestamptz NOT NULL,
    start_by         timestamptz NOT NULL,
    approvers_needed int NOT NULL CHECK (approvers_needed >= 1),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (incident_id, revision)
);

CREATE TABLE stanch.approval (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    proposal_id      uuid NOT NULL UNIQUE REFERENCES stanch.proposal,
    incident_id      bigint NOT NULL REFERENCES stanch.incident,
    revision         int NOT NULL,
    digest           text NOT NULL,
    state            text NOT NULL DEFAULT 'pending',
    version          bigint NOT NULL DEFAULT 0,
    approvers_needed int NOT NULL,
    decide_by        timestamptz NOT NULL,
    start_by         timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at       timestamptz
);
CREATE UNIQUE INDEX approval_one_open ON stanch.approval (incident_id)
    WHERE state IN ('pending', 'partially_approved');

CREATE TABLE stanch.decision (
    approval_id uuid NOT NULL REFERENCES stanch.approval,
    person      text NOT NULL,
    decision    text NOT NULL CHECK (decision IN ('approve', 'deny')),
    channel     text NOT NULL,
    reason      text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (approval_id, person)
);

CREATE TABLE stanch.permit (
    approval_id uuid NOT NULL REFERENCES stanch.approval,
    person      text NOT NULL,
    key_id      text NOT NULL,
    digest      text NOT NULL,
    decided_at  timestamptz NOT NULL,
    signature   text NOT NULL,
    PRIMARY KEY (approval_id, person)
);

CREATE TABLE stanch.execution (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    approval_id uuid NOT NULL REFERENCES stanch.approval,
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    phase       text NOT NULL CHECK (phase IN ('run', 'rollback')),
    state       text NOT NULL DEFAULT 'authorised',
    version     bigint NOT NULL DEFAULT 0,
    progress    jsonb,
    result      jsonb,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at  timestamptz,
    finished_at timestamptz,
    UNIQUE (approval_id, phase)
);
CREATE INDEX execution_by_incident ON stanch.execution (incident_id);

CREATE TABLE stanch.postmortem (
    incident_id bigint PRIMARY KEY REFERENCES stanch.incident,
    body        jsonb NOT NULL,
    markdown    text NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE stanch.change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service     text NOT NULL,
    version     text,
    summary     text NOT NULL,
    at          timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX change_by_time ON stanch.change (at);

-- Evidence counts of skills, one row an incident and count, so that writing a postmortem twice counts once.
CREATE TABLE stanch.skill_count (
    skill       text NOT NULL,
    cause       text NOT NULL,
    name        text NOT NULL,
    incident_id bigint NOT NULL REFERENCES stanch.incident,
    outcome     text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (skill, cause, name, incident_id)
);

CREATE TABLE stanch.control (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paused   boolean NOT NULL DEFAULT false,
    reason   text,
    person   text,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO stanch.control DEFAULT VALUES;

-- A process says that it is there, what it is and how it gets its work.
CREATE TABLE stanch.process (
    name      text PRIMARY KEY,
    kind      text NOT NULL,
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail    jsonb NOT NULL DEFAULT '{}'
);

-- Rows are inserted unsealed; one sealer chains them. Neither table is ever updated.
CREATE TABLE stanch.audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    incident_id bigint,
    actor       text NOT NULL,
    action      text NOT NULL,
    data        jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_by_incident ON stanch.audit (incident_id, id);
CREATE TABLE stanch.audit_seal (
    seq      bigint PRIMARY KEY,
    audit_id bigint NOT NULL UNIQUE REFERENCES stanch.audit,
    prev     text NOT NULL,
    hash     text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The legal transitions: the same table as TRANSITIONS in agent/machine.py; a test keeps them equal.
CREATE TABLE stanch.allowed_transition (
    machine    text NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    writer     text NOT NULL,
    PRIMARY KEY (machine, from_state, to_state, writer)
);
INSERT INTO stanch.allowed_transition (machine, from_state, to_state, writer) VALUES
    ('incident', 'received', 'investigating', 'stanch_agent'),
    ('incident', 'received', 'needs_human', 'stanch_agent'),
    ('incident', 'received', 'self_resolved', 'stanch_agent'),
    ('incident', 'investigating', 'awaiting_approval', 'stanch_api'),
    ('incident', 'investigating', 'needs_human', 'stanch_agent'),
    ('incident', 'investigating', 'needs_human', 'stanch_api'),
    ('incident', 'investigating', 'self_resolved', 'stanch_agent'),
    ('incident', 'awaiting_approval', 'executing', 'stanch_api'),
    ('incident', 'awaiting_approval', 'needs_human', 'stanch_api'),
    ('incident', 'awaiting_approval', 'self_resolved', 'stanch_agent'),
    ('incident', 'executing', 'verifying', 'stanch_executor'),
    ('incident', 'executing', 'needs_human', 'stanch_executor'),
    ('incident', 'verifying', 'executing', 'stanch_api'),
    ('incident', 'verifying', 'needs_human', 'stanch_agent'),
    ('incident', 'verifying', 'needs_human', 'stanch_api'),
    ('incident', 'verifying', 'resolved', 'stanch_agent'),
    ('incident', 'needs_human', 'investigating', 'stanch_api'),
    ('incident', 'needs_human', 'self_resolved', 'stanch_agent'),
    ('incident', 'needs_human', 'closed', 'stanch_api'),
    ('incident', 'resolved', 'closed', 'stanch_agent'),
    ('incident', 'self_resolved', 'closed', 'stanch_agent'),
    ('approval', 'pending', 'partially_approved', 'stanch_api'),
    ('approval', 'pending', 'approved', 'stanch_api'),
    ('approval', 'pending', 'denied', 'stanch_api'),
    ('approval', 'pending', 'expired', 'stanch_api'),
    ('approval', 'pending', 'superseded', 'stanch_api'),
    ('approval', 'pending', 'cancelled', 'stanch_api'),
    ('approval', 'partially_approved', 'approved', 'stanch_api'),
    ('approval', 'partially_approved', 'denied', 'stanch_api'),
    ('approval', 'partially_approved', 'expired', 'stanch_api'),
    ('approval', 'partially_approved', 'superseded', 'stanch_api'),
    ('approval', 'partially_approved', 'cancelled', 'stanch_api'),
    ('execution', 'authorised', 'started', 'stanch_executor'),
    ('execution', 'authorised', 'aborted', 'stanch_executor'),
    ('execution', 'started', 'finished', 'stanch_executor'),
    ('execution', 'started', 'failed', 'stanch_executor'),
    ('execution', 'started', 'unknown', 'stanch_executor'),
    ('execution', 'started', 'aborting', 'stanch_executor'),
    ('execution', 'started', 'rolling_back', 'stanch_executor'),
    ('execution', 'unknown', 'finished', 'stanch_executor'),
    ('execution', 'unknown', 'failed', 'stanch_executor'),
    ('execution', 'aborting', 'aborted', 'stanch_executor'),
    ('execution', 'aborting', 'finished', 'stanch_executor'),
    ('execution', 'aborting', 'unknown', 'stanch_executor'),
    ('execution', 'rolling_back', 'rolled_back', 'stanch_executor'),
    ('execution', 'rolling_back', 'failed', 'stanch_executor'),
    ('execution', 'rolling_back', 'unknown', 'stanch_executor'),
    ('execution', 'unknown', 'rolled_back', 'stanch_executor');

-- Holds also for a psql session of the service's own role.
CREATE FUNCTION stanch.hold_transition() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, stanch AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> TG_ARGV[1] THEN
            RAISE EXCEPTION '% starts as %, not as %', TG_ARGV[0], TG_ARGV[1], NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION '% changed without its version', TG_ARGV[0] USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS (
        SELECT FROM stanch.allowed_transition t
        WHERE t.machine = TG_ARGV[0] AND t.from_state = OLD.state AND t.to_state = NEW.state
          AND pg_catalog.pg_has_role(session_user, t.writer, 'MEMBER')
    ) THEN
        RAISE EXCEPTION '% may not go from % to % by %', TG_ARGV[0], OLD.state, NEW.state, session_user
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER hold_transition BEFORE INSERT OR UPDATE ON stanch.incident
    FOR EACH ROW EXECUTE FUNCTION stanch.hold_transition('incident', 'received');
CREATE TRIGGER hold_transition BEFORE INSERT OR UPDATE ON stanch.approval
    FOR EACH ROW EXECUTE FUNCTION stanch.hold_transition('approval', 'pending');
CREATE TRIGGER hold_transition BEFORE INSERT OR UPDATE OF state, version ON stanch.execution
    FOR EACH ROW EXECUTE FUNCTION stanch.hold_transition('execution', 'authorised');

-- Hints only: a notification lost with its connection costs a polling interval, nothing else.
CREATE FUNCTION stanch.tell_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('stanch_step', NEW.queue);
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_step AFTER INSERT ON stanch.step FOR EACH ROW EXECUTE FUNCTION stanch.tell_step();
CREATE FUNCTION stanch.tell_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('stanch_incident', coalesce(NEW.incident_id::text, ''));
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_incident AFTER INSERT ON stanch.audit FOR EACH ROW EXECUTE FUNCTION stanch.tell_incident();

GRANT USAGE ON SCHEMA stanch TO stanch_api, stanch_agent, stanch_executor;
GRANT SELECT ON ALL TABLES IN SCHEMA stanch TO stanch_api, stanch_agent, stanch_executor;

GRANT INSERT ON stanch.inbox, stanch.step, stanch.approval, stanch.decision, stanch.permit, stanch.execution,
    stanch.audit, stanch.audit_seal TO stanch_api;
GRANT UPDATE ON stanch.incident, stanch.step, stanch.approval, stanch.control TO stanch_api;

GRANT INSERT ON stanch.incident, stanch.alert, stanch.step, stanch.evidence, stanch.proposal, stanch.postmortem,
    stanch.change, stanch.skill_count, stanch.audit TO stanch_agent;
GRANT UPDATE ON stanch.incident, stanch.alert, stanch.step, stanch.postmortem TO stanch_agent;
GRANT UPDATE (state, reason) ON stanch.inbox TO stanch_agent;

GRANT INSERT ON stanch.step, stanch.evidence, stanch.audit TO stanch_executor;
GRANT UPDATE ON stanch.incident, stanch.step, stanch.execution TO stanch_executor;

GRANT INSERT, UPDATE ON stanch.process TO stanch_api, stanch_agent, stanch_executor;
