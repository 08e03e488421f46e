-- name: incident
INSERT INTO stanch.incident (correlation_key, title, service, severity, target, mode, skill, milestones)
VALUES (%(key)s, 'SlowCheckout: p99 is over 1 s', 'checkout', 'page', 'shop', 'act', 'postgres-missing-index', '{}')
RETURNING id

-- name: investigating
UPDATE stanch.incident SET state = 'investigating', version = version + 1 WHERE id = %(id)s

-- name: awaiting
UPDATE stanch.incident SET state = 'awaiting_approval', version = version + 1 WHERE id = %(id)s

-- name: proposal
INSERT INTO stanch.proposal (id, incident_id, revision, action, params, target, command, cleanup, rollback, document,
                             digest, verdict, facts, decide_by, start_by, approvers_needed)
VALUES (%(id)s, %(incident)s, 1, %(action)s, %(params)s, 'shop', %(command)s, %(cleanup)s, %(rollback)s, %(document)s,
        %(digest)s, '{"locks": [], "risk": "medium", "findings": []}', '{}', %(decide_by)s, %(start_by)s, 1)

-- name: approval
INSERT INTO stanch.approval (proposal_id, incident_id, revision, digest, approvers_needed, decide_by, start_by)
SELECT id, incident_id, revision, digest, approvers_needed, decide_by, start_by
FROM stanch.proposal WHERE id = %(proposal)s
RETURNING id::text

-- name: audit
INSERT INTO stanch.audit (incident_id, actor, action) VALUES (%(incident)s, 'bench', 'Seeded')

-- name: posted
-- As if the message stood in Slack already: a second a message would make seeding the longest part of the run.
INSERT INTO stanch.slack_message (incident_id, kind, ref, nonce, revision, digest, channel, ts)
VALUES (%(incident)s, 'approval', %(approval)s, %(nonce)s, 1, %(digest)s, %(channel)s, %(ts)s)

-- name: left_alone
INSERT INTO stanch.slack_incident (incident_id, settled) VALUES (%(incident)s, true)

-- name: hold
LOCK TABLE stanch.approval, stanch.slack_message IN ACCESS EXCLUSIVE MODE

-- name: decided
SELECT count(*) FROM stanch.decision d JOIN stanch.permit p USING (approval_id, person)
WHERE d.approval_id = ANY(%(ids)s::uuid[]) AND d.decision = 'approve' AND d.channel = 'slack'
