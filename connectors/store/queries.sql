-- Every query on the store. Decisions are made by conditional updates; 0 rows means that somebody else was first.

-- name: store_inbox
INSERT INTO stanch.inbox (source, headers, body) VALUES (%(source)s, %(headers)s, %(body)s)
RETURNING id, receipt

-- name: inbox
SELECT id, receipt, source, headers, body, state, received_at FROM stanch.inbox WHERE id = %(id)s

-- name: mark_inbox
UPDATE stanch.inbox SET state = %(state)s, reason = %(reason)s WHERE id = %(id)s AND state = 'stored'

-- name: quarantined
SELECT id, receipt, source, reason, received_at, octet_length(body) AS bytes
FROM stanch.inbox WHERE state = 'quarantined' ORDER BY id DESC LIMIT %(limit)s

-- name: now
SELECT clock_timestamp() AS now

-- name: add_step
INSERT INTO stanch.step (incident_id, kind, queue, args, not_before)
VALUES (%(incident)s, %(kind)s, %(queue)s, %(args)s, clock_timestamp() + make_interval(secs => %(after_s)s))
RETURNING id

-- name: claim_step
-- A lease with a fence: whoever holds the newest fence may commit.
UPDATE stanch.step
SET state = 'running', fence = fence + 1, attempts = attempts + 1, owner = %(owner)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND not_before <= clock_timestamp()
  AND (%(queues)s::text[] IS NULL OR queue = ANY(%(queues)s))
  AND (state = 'ready' OR (state = 'running' AND lease_until < clock_timestamp()))
RETURNING id, incident_id, kind, queue, args, attempts, fence

-- name: renew_step
UPDATE stanch.step SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id

-- name: finish_step
UPDATE stanch.step SET state = %(state)s, error = %(error)s, finished_at = clock_timestamp(), lease_until = NULL
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id

-- name: retry_step
UPDATE stanch.step
SET state = 'ready', error = %(error)s, owner = NULL, lease_until = NULL, published_at = NULL,
    not_before = clock_timestamp() + make_interval(secs => %(after_s)s)
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id

-- name: due_steps
-- What a process that polls may run itself: never published, or published and not taken within the grace.
SELECT id FROM stanch.step
WHERE queue = ANY(%(queues)s) AND not_before <= clock_timestamp()
  AND ((state = 'ready' AND greatest(not_before, created_at, published_at) <
            clock_timestamp() - make_interval(secs => %(grace_s)s))
       OR (state = 'running' AND lease_until < clock_timestamp()))
ORDER BY not_before LIMIT %(limit)s

-- name: publishable
-- The relay's share: due and never published.
UPDATE stanch.step SET published_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM stanch.step
    WHERE queue = ANY(%(queues)s) AND state = 'ready' AND published_at IS NULL AND not_before <= clock_timestamp()
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, queue

-- name: unpublish
UPDATE stanch.step SET published_at = NULL WHERE id = ANY(%(ids)s) AND state = 'ready'

-- name: next_due
SELECT extract(epoch FROM min(not_before) - clock_timestamp())::float8 AS in_s
FROM stanch.step WHERE state = 'ready' AND published_at IS NULL AND not_before > clock_timestamp()

-- name: backlog
SELECT count(*) FILTER (WHERE state = 'ready' AND not_before <= clock_timestamp()) AS due,
       count(*) FILTER (WHERE state = 'running') AS running
FROM stanch.step WHERE state IN ('ready', 'running')

-- name: open_incident_for
SELECT id FROM stanch.incident
WHERE correlation_key = %(correlation_key)s AND state NOT IN ('resolved', 'self_resolved', 'closed')
FOR UPDATE

-- name: add_incident
INSERT INTO stanch.incident (correlation_key, title, service, severity, labels, annotations, milestones)
VALUES (%(correlation_key)s, %(title)s, %(service)s, %(severity)s, %(labels)s, %(annotations)s, %(milestones)s)
ON CONFLICT (correlation_key) WHERE state NOT IN ('resolved', 'self_resolved', 'closed') DO NOTHING
RETURNING id

-- name: known_alerts
SELECT fingerprint, starts_at, incident_id, status FROM stanch.alert
WHERE (fingerprint, starts_at) IN (SELECT * FROM unnest(%(fingerprints)s::text[], %(starts)s::timestamptz[]))

-- name: latest_alert
-- The newest episode of a fingerprint: a resolve may carry another startsAt after a restart of its source.
SELECT fingerprint, starts_at, incident_id, status FROM stanch.alert
WHERE fingerprint = %(fingerprint)s ORDER BY starts_at DESC LIMIT 1

-- name: add_alert
INSERT INTO stanch.alert (fingerprint, starts_at, incident_id, source, status, labels, annotations, generator_url,
                          ends_at)
VALUES (%(fingerprint)s, %(starts_at)s, %(incident)s, %(source)s, %(status)s, %(labels)s, %(annotations)s,
        %(generator_url)s, %(ends_at)s)
ON CONFLICT (fingerprint, starts_at) DO UPDATE
SET seen = stanch.alert.seen + 1, last_seen = clock_timestamp(),
    status = CASE WHEN stanch.alert.status = 'resolved' THEN 'resolved' ELSE excluded.status END,
    ends_at = coalesce(excluded.ends_at, stanch.alert.ends_at)

-- name: resolve_alert
UPDATE stanch.alert SET status = 'resolved', ends_at = %(ends_at)s, last_seen = clock_timestamp()
WHERE fingerprint = %(fingerprint)s AND starts_at = %(starts_at)s

-- name: firing_alerts
SELECT count(*) AS firing FROM stanch.alert WHERE incident_id = %(incident)s AND status = 'firing'

-- name: alerts
SELECT fingerprint, starts_at, source, status, labels, annotations, generator_url, ends_at, seen, first_seen, last_seen
FROM stanch.alert WHERE incident_id = %(incident)s ORDER BY starts_at, fingerprint

-- name: incident
SELECT id, state, outcome, version, title, service, severity, target, mode, skill, labels, annotations, working,
       milestones, opened_at, updated_at
FROM stanch.incident WHERE id = %(id)s

-- name: incident_for_update
SELECT id, state, outcome, version, title, service, severity, target, mode, skill, labels, annotations, working,
       milestones, opened_at, updated_at
FROM stanch.incident WHERE id = %(id)s FOR UPDATE

-- name: incidents
SELECT id, state, outcome, version, title, service, severity, target, mode, skill, labels, annotations, working,
       milestones, opened_at, updated_at
FROM stanch.incident
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s)) AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: save_incident
UPDATE stanch.incident
SET state = %(state)s, outcome = %(outcome)s, version = version + 1, service = %(service)s, target = %(target)s,
    mode = %(mode)s, skill = %(skill)s, working = %(working)s, milestones = %(milestones)s,
    updated_at = clock_timestamp()
WHERE id = %(id)s AND version = %(version)s
RETURNING version

-- name: add_evidence
INSERT INTO stanch.evidence (incident_id, step_id, fence, name, tool, status, summary, body, sha256)
VALUES (%(incident)s, %(step)s, %(fence)s, %(name)s, %(tool)s, %(status)s, %(summary)s, %(body)s, %(sha256)s)
RETURNING id

-- name: evidence
SELECT id, name, tool, status, summary, body, sha256, at FROM stanch.evidence
WHERE incident_id = %(incident)s ORDER BY id

-- name: add_proposal
INSERT INTO stanch.proposal (id, incident_id, revision, action, params, target, command, cleanup, rollback, document,
                             digest, verdict, facts, decide_by, start_by, approvers_needed)
VALUES (%(id)s, %(incident)s, %(revision)s, %(action)s, %(params)s, %(target)s, %(command)s, %(cleanup)s,
        %(rollback)s, %(document)s, %(digest)s, %(verdict)s, %(facts)s, %(decide_by)s, %(start_by)s,
        %(approvers_needed)s)

-- name: proposal
SELECT id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, verdict,
       facts, decide_by, start_by, approvers_needed, created_at
FROM stanch.proposal WHERE id = %(id)s

-- name: latest_proposal
SELECT id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, verdict,
       facts, decide_by, start_by, approvers_needed, created_at
FROM stanch.proposal WHERE incident_id = %(incident)s ORDER BY revision DESC LIMIT 1

-- name: add_approval
INSERT INTO stanch.approval (proposal_id, incident_id, revision, digest, approvers_needed, decide_by, start_by)
SELECT id, incident_id, revision, digest, approvers_needed, decide_by, start_by
FROM stanch.proposal WHERE id = %(proposal)s
RETURNING id

-- name: approval
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, clock_timestamp() AS now
FROM stanch.approval WHERE id = %(id)s

-- name: approval_for_proposal
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, clock_timestamp() AS now
FROM stanch.approval WHERE proposal_id = %(proposal)s

-- name: lock_approval
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, clock_timestamp() AS now
FROM stanch.approval WHERE id = %(id)s FOR UPDATE

-- name: settle_approval
-- The one conditional update that decides: single use, the digest as shown, in time by this database's clock.
UPDATE stanch.approval
SET state = %(state)s, version = version + 1, decided_at = clock_timestamp()
WHERE id = %(id)s AND state IN ('pending', 'partially_approved') AND version = %(version)s
  AND revision = %(revision)s AND digest = %(digest)s AND decide_by > clock_timestamp()
RETURNING id, decided_at

-- name: end_approval
UPDATE stanch.approval SET state = %(state)s, version = version + 1, decided_at = clock_timestamp()
WHERE id = %(id)s AND state IN ('pending', 'partially_approved')
RETURNING id

-- name: open_approvals
SELECT id FROM stanch.approval WHERE incident_id = %(incident)s AND state IN ('pending', 'partially_approved')

-- name: overdue_approvals
SELECT id, incident_id FROM stanch.approval
WHERE state IN ('pending', 'partially_approved') AND decide_by <= clock_timestamp()

-- name: add_decision
INSERT INTO stanch.decision (approval_id, person, decision, channel, reason)
VALUES (%(approval)s, %(person)s, %(decision)s, %(channel)s, %(reason)s)
ON CONFLICT (approval_id, person) DO NOTHING
RETURNING at

-- name: decisions
SELECT person, decision, channel, reason, at FROM stanch.decision WHERE approval_id = %(approval)s ORDER BY at

-- name: add_permit
INSERT INTO stanch.permit (approval_id, person, key_id, digest, decided_at, signature)
VALUES (%(approval)s, %(person)s, %(key_id)s, %(digest)s, %(decided_at)s, %(signature)s)

-- name: permits
SELECT approval_id, person, key_id, digest, decided_at, signature FROM stanch.permit
WHERE approval_id = %(approval)s ORDER BY person

-- name: add_execution
INSERT INTO stanch.execution (approval_id, incident_id, phase)
VALUES (%(approval)s, %(incident)s, %(phase)s)
ON CONFLICT (approval_id, phase) DO NOTHING
RETURNING id

-- name: execution
SELECT id, approval_id, incident_id, phase, state, version, progress, result, created_at, started_at, finished_at
FROM stanch.execution WHERE id = %(id)s

-- name: executions
SELECT id, approval_id, incident_id, phase, state, version, progress, result, created_at, started_at, finished_at
FROM stanch.execution WHERE incident_id = %(incident)s ORDER BY created_at

-- name: move_execution
UPDATE stanch.execution
SET state = %(state)s, version = version + 1, result = coalesce(%(result)s, result),
    started_at = CASE WHEN %(state)s = 'started' THEN clock_timestamp() ELSE started_at END,
    finished_at = CASE WHEN %(ended)s THEN clock_timestamp() ELSE finished_at END
WHERE id = %(id)s AND version = %(version)s
RETURNING version, started_at, finished_at

-- name: save_progress
UPDATE stanch.execution SET progress = %(progress)s WHERE id = %(id)s

-- name: started_executions_since
-- On one target, rollbacks too: each is a change to it.
SELECT count(*) AS started
FROM stanch.execution e JOIN stanch.approval a ON a.id = e.approval_id JOIN stanch.proposal p ON p.id = a.proposal_id
WHERE p.target = %(target)s AND e.started_at > clock_timestamp() - make_interval(secs => %(window_s)s)

-- name: add_change
INSERT INTO stanch.change (service, version, summary, at) VALUES (%(service)s, %(version)s, %(summary)s, %(at)s)

-- name: changes_between
SELECT service, version, summary, at FROM stanch.change
WHERE at BETWEEN %(start)s AND %(end)s ORDER BY at

-- name: save_postmortem
INSERT INTO stanch.postmortem (incident_id, body, markdown) VALUES (%(incident)s, %(body)s, %(markdown)s)
ON CONFLICT (incident_id) DO UPDATE
SET body = excluded.body, markdown = excluded.markdown, written_at = clock_timestamp()

-- name: postmortem
SELECT body, markdown, written_at FROM stanch.postmortem WHERE incident_id = %(incident)s

-- name: count_for_skill
INSERT INTO stanch.skill_count (skill, cause, name, incident_id, outcome)
VALUES (%(skill)s, %(cause)s, %(name)s, %(incident)s, %(outcome)s)
ON CONFLICT DO NOTHING

-- name: skill_counts
SELECT skill, cause, name, outcome, count(*) AS n FROM stanch.skill_count
GROUP BY skill, cause, name, outcome ORDER BY skill, cause, name, outcome

-- name: control
SELECT paused, reason, person, at FROM stanch.control

-- name: set_control
UPDATE stanch.control SET paused = %(paused)s, reason = %(reason)s, person = %(person)s, at = clock_timestamp()

-- name: seen
INSERT INTO stanch.process (name, kind, detail) VALUES (%(name)s, %(kind)s, %(detail)s)
ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp(), detail = excluded.detail

-- name: processes
SELECT name, kind, seen_at, detail, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS age_s
FROM stanch.process ORDER BY kind, name

-- name: add_audit
INSERT INTO stanch.audit (incident_id, actor, action, data) VALUES (%(incident)s, %(actor)s, %(action)s, %(data)s)
RETURNING id, at

-- name: audit_of
SELECT a.id, a.at, a.actor, a.action, a.data, s.seq, s.hash
FROM stanch.audit a LEFT JOIN stanch.audit_seal s ON s.audit_id = a.id
WHERE a.incident_id = %(incident)s AND a.id > %(after)s ORDER BY a.id LIMIT %(limit)s

-- name: try_sealing
SELECT pg_try_advisory_xact_lock(hashtext('stanch.audit_seal')) AS mine

-- name: unsealed
-- Ids are given before the commit, so a later one may be sealed first. No transaction of ours is open long enough for
-- ten thousand others to overtake it, and looking no further back keeps this as fast on a large table as on a small one.
SELECT a.id, a.at, a.incident_id, a.actor, a.action, a.data
FROM stanch.audit a
WHERE a.id > coalesce((SELECT max(audit_id) FROM stanch.audit_seal), 0) - 10000
  AND NOT EXISTS (SELECT FROM stanch.audit_seal s WHERE s.audit_id = a.id)
ORDER BY a.id LIMIT %(limit)s

-- name: seal_head
SELECT seq, hash, at FROM stanch.audit_seal ORDER BY seq DESC LIMIT 1

-- name: add_seal
INSERT INTO stanch.audit_seal (seq, audit_id, prev, hash) VALUES (%(seq)s, %(audit)s, %(prev)s, %(hash)s)

-- name: sealed_rows
SELECT s.seq, s.prev, s.hash, a.id, a.at, a.incident_id, a.actor, a.action, a.data
FROM stanch.audit_seal s LEFT JOIN stanch.audit a ON a.id = s.audit_id
WHERE s.seq > %(after)s ORDER BY s.seq LIMIT %(limit)s

-- name: incident_ages
SELECT state, outcome, count(*) AS n FROM stanch.incident GROUP BY state, outcome

-- name: restore_times
SELECT id, title, service, outcome, milestones FROM stanch.incident ORDER BY id DESC LIMIT %(limit)s
