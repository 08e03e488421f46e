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

-- name: add_incident
INSERT INTO stanch.incident (correlation_key, source, title, service, severity, labels, annotations, milestones)
VALUES (%(correlation_key)s, %(source)s, %(title)s, %(service)s, %(severity)s, %(labels)s, %(annotations)s,
        %(milestones)s)
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
                             digest, verdict, facts, decide_by, start_by, approvers_needed, proposed_by)
VALUES (%(id)s, %(incident)s, %(revision)s, %(action)s, %(params)s, %(target)s, %(command)s, %(cleanup)s,
        %(rollback)s, %(document)s, %(digest)s, %(verdict)s, %(facts)s, %(decide_by)s, %(start_by)s,
        %(approvers_needed)s, %(proposed_by)s)

-- name: proposal
SELECT id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, verdict,
       facts, decide_by, start_by, approvers_needed, proposed_by, created_at
FROM stanch.proposal WHERE id = %(id)s

-- name: latest_proposal
SELECT id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, verdict,
       facts, decide_by, start_by, approvers_needed, proposed_by, created_at
FROM stanch.proposal WHERE incident_id = %(incident)s ORDER BY revision DESC LIMIT 1

-- name: add_approval
INSERT INTO stanch.approval (proposal_id, incident_id, revision, digest, approvers_needed, decide_by, start_by)
SELECT id, incident_id, revision, digest, approvers_needed, decide_by, start_by
FROM stanch.proposal WHERE id = %(proposal)s
RETURNING id

-- name: approval
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, escalated_at, clock_timestamp() AS now
FROM stanch.approval WHERE id = %(id)s

-- name: approval_for_proposal
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, escalated_at, clock_timestamp() AS now
FROM stanch.approval WHERE proposal_id = %(proposal)s

-- name: lock_approval
SELECT id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, start_by,
       created_at, decided_at, escalated_at, clock_timestamp() AS now
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

-- name: undecided_approvals
-- Open for so long that somebody else should hear of it, and nobody has told them yet.
SELECT id, incident_id FROM stanch.approval
WHERE state IN ('pending', 'partially_approved') AND escalated_at IS NULL AND decide_by > clock_timestamp()
  AND created_at + make_interval(secs => %(after_s)s) <= clock_timestamp()

-- name: escalate_approval
UPDATE stanch.approval SET escalated_at = clock_timestamp(), version = version + 1
WHERE id = %(id)s AND state IN ('pending', 'partially_approved') AND escalated_at IS NULL
RETURNING id, proposal_id, decide_by

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
SELECT id, service, version, summary, at FROM stanch.change
WHERE at BETWEEN %(start)s AND %(end)s ORDER BY at

-- name: save_postmortem
INSERT INTO stanch.postmortem (incident_id, body, markdown) VALUES (%(incident)s, %(body)s, %(markdown)s)
ON CONFLICT (incident_id) DO UPDATE
SET body = excluded.body, markdown = excluded.markdown, written_at = clock_timestamp()

-- name: postmortem
SELECT body, markdown, written_at FROM stanch.postmortem WHERE incident_id = %(incident)s

-- name: count_for_skill
INSERT INTO stanch.skill_count (skill, cause, name, incident_id, outcome, origin, sha256)
VALUES (%(skill)s, %(cause)s, %(name)s, %(incident)s, %(outcome)s, %(origin)s, %(sha256)s)
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

-- --- What the pages count. Of incidents opened in [since, until); service and severity null: of any. ---------------

-- name: incident_times
-- One row an incident. began: of its impact, where that is known. seconds: to restore it; null while nobody has.
SELECT id, date_part('epoch', coalesce(impact_start, opened_at)) AS began,
       CASE WHEN restored < impact_start THEN 0 ELSE date_part('epoch', restored - impact_start) END AS seconds,
       state NOT IN ('resolved', 'self_resolved', 'closed') AS open, outcome
FROM stanch.incident
WHERE opened_at >= %(since)s AND opened_at < %(until)s
  AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(severity)s::text IS NULL OR severity = %(severity)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: stage_times
-- Number, median and ninth decile of each stage. One that is measured to have taken less than no time took none.
SELECT count(detect) AS detect_n, count(diagnose) AS diagnose_n, count(wait) AS wait_n, count(execute) AS execute_n,
       count(verify) AS verify_n,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY detect) AS detect,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY diagnose) AS diagnose,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY wait) AS wait,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY execute) AS execute,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY verify) AS verify
FROM (
    SELECT CASE WHEN detected < impact_start THEN 0 ELSE date_part('epoch', detected - impact_start) END AS detect,
           CASE WHEN diagnosed < detected THEN 0 ELSE date_part('epoch', diagnosed - detected) END AS diagnose,
           CASE WHEN decided < proposed THEN 0 ELSE date_part('epoch', decided - proposed) END AS wait,
           CASE WHEN exec_end < exec_start THEN 0 ELSE date_part('epoch', exec_end - exec_start) END AS execute,
           CASE WHEN verified < exec_end THEN 0 ELSE date_part('epoch', verified - exec_end) END AS verify
    FROM stanch.incident
    WHERE opened_at >= %(since)s AND opened_at < %(until)s
      AND (%(service)s::text IS NULL OR service = %(service)s)
      AND (%(severity)s::text IS NULL OR severity = %(severity)s)) AS each

-- name: fix_outcomes
-- What became of each proposed fix. An approved one whose incident went on to another did not help.
SELECT outcome, count(*) AS n FROM (
    SELECT CASE
        WHEN a.id IS NULL THEN 'not_asked'
        WHEN a.state IN ('pending', 'partially_approved') THEN 'waiting'
        WHEN a.state <> 'approved' THEN a.state
        WHEN back.state = 'rolled_back' THEN 'rolled_back'
        WHEN run.state IN ('failed', 'aborted') THEN 'not_run'
        WHEN p.revision < (i.working ->> 'revision')::int THEN 'not_recovered'
        WHEN i.outcome = 'recovered' THEN 'verified'
        WHEN i.outcome IS NOT NULL THEN i.outcome
        ELSE 'under_way' END AS outcome
    FROM stanch.incident i
    JOIN stanch.proposal p ON p.incident_id = i.id
    LEFT JOIN stanch.approval a ON a.proposal_id = p.id
    LEFT JOIN stanch.execution run ON run.approval_id = a.id AND run.phase = 'run'
    LEFT JOIN stanch.execution back ON back.approval_id = a.id AND back.phase = 'rollback'
    WHERE i.opened_at >= %(since)s AND i.opened_at < %(until)s
      AND (%(service)s::text IS NULL OR i.service = %(service)s)
      AND (%(severity)s::text IS NULL OR i.severity = %(severity)s)) AS each
GROUP BY outcome

-- name: load_of
-- unsocial: opened between 22 and 6 o'clock UTC or at a weekend.
SELECT count(*) AS incidents,
       count(*) FILTER (WHERE extract(isodow FROM opened_at AT TIME ZONE 'UTC') >= 6
                           OR extract(hour FROM opened_at AT TIME ZONE 'UTC') >= 22
                           OR extract(hour FROM opened_at AT TIME ZONE 'UTC') < 6) AS unsocial
FROM stanch.incident
WHERE opened_at >= %(since)s AND opened_at < %(until)s
  AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(severity)s::text IS NULL OR severity = %(severity)s)

-- name: deciders
SELECT d.person, count(*) AS n
FROM stanch.decision d JOIN stanch.approval a ON a.id = d.approval_id JOIN stanch.incident i ON i.id = a.incident_id
WHERE d.at >= %(since)s AND d.at < %(until)s
  AND (%(service)s::text IS NULL OR i.service = %(service)s)
  AND (%(severity)s::text IS NULL OR i.severity = %(severity)s)
GROUP BY d.person ORDER BY n DESC, d.person LIMIT %(limit)s

-- name: last_received
SELECT source, extract(epoch FROM clock_timestamp() - max(received_at))::float8 AS age_s
FROM stanch.inbox GROUP BY source ORDER BY source

-- name: incident_facets
-- What one may filter by.
SELECT array_agg(DISTINCT service) FILTER (WHERE service IS NOT NULL) AS services,
       array_agg(DISTINCT severity) FILTER (WHERE severity IS NOT NULL) AS severities
FROM stanch.incident

-- name: ttr_rows
SELECT id, state, outcome, version, title, service, severity, target, mode, skill, labels, annotations, working,
       milestones, opened_at, updated_at
FROM stanch.incident
WHERE opened_at >= %(since)s AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(severity)s::text IS NULL OR severity = %(severity)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: stage_buckets
-- For histograms, over all incidents there are. negated: the bounds with a minus, ascending; within: how many of them a
-- time is at most, for a bucket holds what is equal to its bound.
SELECT stage, width_bucket(-seconds, %(negated)s::float8[]) AS within, count(*) AS n, sum(seconds) AS total
FROM stanch.incident i
CROSS JOIN LATERAL (VALUES
    ('restore', i.impact_start, i.restored), ('detect', i.impact_start, i.detected),
    ('diagnose', i.detected, i.diagnosed), ('wait', i.proposed, i.decided), ('execute', i.exec_start, i.exec_end),
    ('verify', i.exec_end, i.verified)) AS s (stage, began, ended)
CROSS JOIN LATERAL (
    SELECT CASE WHEN ended < began THEN 0 ELSE date_part('epoch', ended - began) END AS seconds) AS each
WHERE seconds IS NOT NULL
GROUP BY stage, within

-- name: search_incidents
-- text: a LIKE pattern over title and service; null: any.
SELECT id, state, outcome, version, title, service, severity, target, mode, skill, labels, annotations, working,
       milestones, opened_at, updated_at
FROM stanch.incident
WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(severity)s::text IS NULL OR severity = %(severity)s)
  AND (%(cause)s::text IS NULL OR cause = %(cause)s)
  AND (%(text)s::text IS NULL OR title ILIKE %(text)s OR service ILIKE %(text)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: proposal_of
SELECT id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, verdict,
       facts, decide_by, start_by, approvers_needed, proposed_by, created_at
FROM stanch.proposal WHERE incident_id = %(incident)s AND revision = %(revision)s

-- name: proposal_revisions
SELECT p.revision, p.digest, p.created_at, p.proposed_by, a.state
FROM stanch.proposal p LEFT JOIN stanch.approval a ON a.proposal_id = p.id
WHERE p.incident_id = %(incident)s ORDER BY p.revision DESC

-- name: audit_found
-- Newest first. text: a LIKE pattern over what was noted; before: smaller ids only.
SELECT a.id, a.at, a.incident_id, a.actor, a.action, a.data, s.seq, s.hash
FROM stanch.audit a LEFT JOIN stanch.audit_seal s ON s.audit_id = a.id
WHERE (%(before)s::bigint IS NULL OR a.id < %(before)s)
  AND (%(incident)s::bigint IS NULL OR a.incident_id = %(incident)s)
  AND (%(actor)s::text IS NULL OR a.actor = %(actor)s)
  AND (%(action)s::text IS NULL OR a.action = %(action)s)
  AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s)
  AND (%(text)s::text IS NULL OR a.data ->> 'note' ILIKE %(text)s)
ORDER BY a.id DESC LIMIT %(limit)s

-- name: audit_actions
SELECT DISTINCT action FROM stanch.audit WHERE id > coalesce((SELECT max(id) FROM stanch.audit), 0) - 20000
ORDER BY action

-- name: seals_of
-- An incident's rows with what each was chained to.
SELECT s.seq, s.prev, s.hash, a.id, a.at, a.incident_id, a.actor, a.action, a.data
FROM stanch.audit a JOIN stanch.audit_seal s ON s.audit_id = a.id
WHERE a.incident_id = %(incident)s ORDER BY a.id LIMIT %(limit)s

-- name: postmortem_edits
SELECT revision, person, body, at FROM stanch.postmortem_edit
WHERE incident_id = %(incident)s ORDER BY revision DESC

-- name: add_postmortem_edit
-- revision: the one that was edited; 0 rows: somebody saved another meanwhile.
INSERT INTO stanch.postmortem_edit (incident_id, revision, person, body)
SELECT %(incident)s, %(revision)s + 1, %(person)s, %(body)s
WHERE %(revision)s = (SELECT coalesce(max(revision), 0) FROM stanch.postmortem_edit WHERE incident_id = %(incident)s)
ON CONFLICT DO NOTHING
RETURNING revision

-- name: take_lease
-- One process writes to a channel at a time; another takes over when this one falls silent.
INSERT INTO stanch.channel_lease (name, owner, until)
VALUES (%(name)s, %(owner)s, clock_timestamp() + make_interval(secs => %(lease_s)s))
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE stanch.channel_lease.owner = excluded.owner OR stanch.channel_lease.until < clock_timestamp()
RETURNING name

-- name: take_request
INSERT INTO stanch.channel_request (key) VALUES (%(key)s) ON CONFLICT DO NOTHING RETURNING key

-- name: slack_due
-- Incidents whose messages may not show what the store says. A full look each minute repairs what a hint missed.
SELECT i.id, a.newest, coalesce(s.seen_audit, 0) AS seen
FROM stanch.incident i
LEFT JOIN stanch.slack_incident s ON s.incident_id = i.id
CROSS JOIN LATERAL (SELECT coalesce(max(x.id), 0) AS newest FROM stanch.audit x WHERE x.incident_id = i.id) a
WHERE (CASE WHEN s.incident_id IS NULL
            THEN i.state NOT IN ('resolved', 'self_resolved', 'closed')
                 OR i.opened_at > clock_timestamp() - interval '1 hour'
            ELSE NOT s.settled END)
  AND (s.incident_id IS NULL OR a.newest > s.seen_audit OR s.checked_at < clock_timestamp() - interval '60 s')
ORDER BY (i.state = 'awaiting_approval') DESC, s.checked_at NULLS FIRST, i.id LIMIT %(limit)s

-- name: slack_checked
INSERT INTO stanch.slack_incident (incident_id, seen_audit, settled)
VALUES (%(incident)s, %(seen)s, %(settled)s)
ON CONFLICT (incident_id) DO UPDATE
SET seen_audit = excluded.seen_audit, settled = excluded.settled, checked_at = clock_timestamp()

-- name: slack_messages
SELECT kind, ref, nonce, revision, digest, channel, ts, stage, rendered, error,
       extract(epoch FROM clock_timestamp() - sent_at)::float8 AS age_s
FROM stanch.slack_message WHERE incident_id = %(incident)s

-- name: add_slack_message
INSERT INTO stanch.slack_message (incident_id, kind, ref, nonce, revision, digest)
VALUES (%(incident)s, %(kind)s, %(ref)s, %(nonce)s, %(revision)s, %(digest)s)
ON CONFLICT (incident_id, kind, ref) DO NOTHING

-- name: slack_sent
UPDATE stanch.slack_message
SET channel = %(channel)s, ts = %(ts)s, stage = %(stage)s, rendered = %(rendered)s, sent_at = clock_timestamp(),
    error = NULL
WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s

-- name: slack_gone
-- Somebody deleted it: it is posted again, and its old buttons are nobody's.
UPDATE stanch.slack_message SET channel = NULL, ts = NULL, rendered = NULL, nonce = %(nonce)s
WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s

-- name: slack_failed
UPDATE stanch.slack_message SET error = %(error)s
WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s

-- name: slack_clicked
-- What stands in Slack, by where it stands.
SELECT m.incident_id, m.ref, m.nonce, m.revision, m.digest, m.channel, m.ts
FROM stanch.slack_message m WHERE m.channel = %(channel)s AND m.ts = %(ts)s AND m.kind = 'approval'

-- name: approvals_of
-- Every revision that was opened for a decision, oldest first.
SELECT a.id, a.revision, a.digest, a.state, a.approvers_needed, a.decide_by, a.decided_at, a.escalated_at,
       p.action, p.target, p.command, p.rollback, p.proposed_by, p.verdict->>'risk' AS risk
FROM stanch.approval a JOIN stanch.proposal p ON p.id = a.proposal_id
WHERE a.incident_id = %(incident)s ORDER BY a.revision

-- name: notice_cursor
SELECT seq FROM stanch.notice_cursor FOR UPDATE

-- name: start_notices
-- From now on: what happened before a receiver was configured is not told.
INSERT INTO stanch.notice_cursor (seq) SELECT coalesce(max(seq), 0) FROM stanch.audit_seal
ON CONFLICT DO NOTHING

-- name: move_notice_cursor
UPDATE stanch.notice_cursor SET seq = %(seq)s

-- name: told_rows
SELECT s.seq, a.id, a.at, a.incident_id, a.actor, a.action, a.data
FROM stanch.audit_seal s JOIN stanch.audit a ON a.id = s.audit_id
WHERE s.seq > %(after)s ORDER BY s.seq LIMIT %(limit)s

-- name: add_notice
INSERT INTO stanch.notice (audit_id, type, receiver, body) VALUES (%(audit)s, %(type)s, %(receiver)s, %(body)s)
ON CONFLICT DO NOTHING

-- name: due_notices
SELECT audit_id, type, receiver, body, attempts, created_at FROM stanch.notice
WHERE state = 'waiting' AND not_before <= clock_timestamp() ORDER BY audit_id LIMIT %(limit)s

-- name: end_notice
UPDATE stanch.notice
SET state = %(state)s, attempts = attempts + 1, error = %(error)s, ended_at = clock_timestamp()
WHERE audit_id = %(audit)s AND type = %(type)s AND receiver = %(receiver)s AND state = 'waiting'

-- name: later_notice
UPDATE stanch.notice
SET attempts = attempts + 1, error = %(error)s, not_before = clock_timestamp() + make_interval(secs => %(after_s)s)
WHERE audit_id = %(audit)s AND type = %(type)s AND receiver = %(receiver)s AND state = 'waiting'

-- name: last_notices
-- For each receiver what became of the notice that ended last, and the ones that were tried and still wait.
SELECT r.receiver, n.type, n.state, n.error, extract(epoch FROM clock_timestamp() - n.ended_at)::float8 AS age_s,
       w.failing, w.why, w.failing_age_s
FROM unnest(%(receivers)s::text[]) WITH ORDINALITY AS r (receiver, place)
LEFT JOIN LATERAL (
    SELECT type, state, error, ended_at FROM stanch.notice
    WHERE receiver = r.receiver AND state <> 'waiting' ORDER BY audit_id DESC LIMIT 1
) n ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS failing, max(error) AS why,
           extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS failing_age_s
    FROM stanch.notice WHERE receiver = r.receiver AND state = 'waiting' AND attempts > 0
) w
ORDER BY r.place

-- name: begin_session
INSERT INTO stanch.session (id_hash, person, groups, method)
VALUES (%(id_hash)s, %(person)s, %(groups)s, %(method)s)

-- name: session
-- One that is neither ended nor too old. stale: the last look is so long ago that it should be noted.
SELECT person, groups, method, authenticated_at, clock_timestamp() AS now,
       seen_at < clock_timestamp() - interval '1 minute' AS stale
FROM stanch.session
WHERE id_hash = %(id_hash)s AND ended_at IS NULL
  AND created_at > clock_timestamp() - make_interval(secs => %(absolute_s)s)
  AND seen_at > clock_timestamp() - make_interval(secs => %(idle_s)s)

-- name: touch_session
UPDATE stanch.session SET seen_at = clock_timestamp() WHERE id_hash = %(id_hash)s

-- name: end_session
UPDATE stanch.session SET ended_at = clock_timestamp() WHERE id_hash = %(id_hash)s AND ended_at IS NULL

-- name: add_api_token
INSERT INTO stanch.api_token (person, label, sha256) VALUES (%(person)s, %(label)s, %(sha256)s) RETURNING id

-- name: api_token
SELECT person FROM stanch.api_token WHERE sha256 = %(sha256)s AND revoked_at IS NULL

-- name: api_tokens_of
SELECT id, label, created_at, revoked_at FROM stanch.api_token WHERE person = %(person)s ORDER BY id DESC LIMIT 100

-- name: revoke_api_token
UPDATE stanch.api_token SET revoked_at = clock_timestamp()
WHERE id = %(id)s AND person = %(person)s AND revoked_at IS NULL
RETURNING id

-- name: note_access
INSERT INTO stanch.target_access (target, connection, ok, detail)
VALUES (%(target)s, %(connection)s, %(ok)s, %(detail)s)
ON CONFLICT (target, connection) DO UPDATE
SET ok = excluded.ok, detail = excluded.detail, seen_at = clock_timestamp()

-- name: target_access
SELECT target, connection, ok, detail, seen_at, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS age_s
FROM stanch.target_access ORDER BY target, connection

-- name: skill_use
SELECT skill, count(*) AS n FROM stanch.incident GROUP BY skill

-- name: latest_audit
-- Each change is noted, so the id says whether a page is up to date.
SELECT max(id) AS id FROM stanch.audit

-- name: latest_audit_of
SELECT max(id) AS id FROM stanch.audit WHERE incident_id = %(incident)s

-- name: lock_skill
SELECT pg_advisory_xact_lock(727202612, hashtext(%(name)s))

-- name: add_skill_version
INSERT INTO stanch.skill_version (name, version, sha256, files, parent, source, note)
SELECT %(name)s, coalesce(max(version), 0) + 1, %(sha256)s, %(files)s, %(parent)s, %(source)s, %(note)s
FROM stanch.skill_version WHERE name = %(name)s
ON CONFLICT (name, sha256) DO NOTHING

-- name: skill_version
SELECT name, version, sha256, files, parent, source, note, created_at
FROM stanch.skill_version WHERE name = %(name)s AND sha256 = %(sha256)s

-- name: skill_history
SELECT name, version, sha256, files, parent, source, note, created_at
FROM stanch.skill_version WHERE name = %(name)s ORDER BY version

-- name: skill_champions
SELECT v.name, v.version, v.sha256, v.files, v.parent, v.source, v.note, v.created_at
FROM (SELECT DISTINCT ON (name) name, sha256 FROM stanch.skill_promotion ORDER BY name, id DESC) AS newest
JOIN stanch.skill_version v USING (name, sha256) ORDER BY v.name

-- name: promote_skill
INSERT INTO stanch.skill_promotion (name, sha256, person) VALUES (%(name)s, %(sha256)s, %(person)s)

-- name: skill_promotions
-- Newest first.
SELECT p.name, p.sha256, v.version, p.person, p.at
FROM stanch.skill_promotion p LEFT JOIN stanch.skill_version v USING (name, sha256)
WHERE p.name = %(name)s ORDER BY p.id DESC LIMIT %(limit)s

-- name: newest_promotion
-- Tells whether what is in use may have changed.
SELECT max(id) AS id FROM stanch.skill_promotion

-- name: skill_evidence
-- Half as much for every half-life since.
SELECT skill, cause, name, outcome, origin,
    sum(power(0.5, extract(epoch FROM clock_timestamp() - at)::float8 / (86400.0 * %(half_life_days)s::float8)))::float8
        AS weight
FROM stanch.skill_count WHERE outcome IN ('yes', 'no') OR (name = 'fix' AND outcome = 'recovered')
GROUP BY skill, cause, name, outcome, origin

-- name: skill_counted
SELECT skill, cause, name, outcome, incident_id, origin, sha256, at FROM stanch.skill_count
WHERE %(skill)s::text IS NULL OR skill = %(skill)s ORDER BY at, incident_id, skill, cause, name

-- --- Long-term memory ------------------------------------------------------------------------------------------------

-- name: save_case
INSERT INTO stanch.past_case (incident_id, alertname, service, cause, expires, body)
VALUES (%(incident)s, %(alertname)s, %(service)s, %(cause)s, %(expires)s, %(body)s)
ON CONFLICT (incident_id) DO UPDATE
SET alertname = excluded.alertname, service = excluded.service, cause = excluded.cause, expires = excluded.expires,
    body = excluded.body, written_at = clock_timestamp()

-- name: cases
-- The newest that name a cause and have not expired.
SELECT body FROM stanch.past_case WHERE cause IS NOT NULL AND expires > clock_timestamp()
ORDER BY incident_id DESC LIMIT %(limit)s

-- name: cases_near
-- Those that share the alert's name, the service or the cause with an incident: who is scored, not who is shown.
SELECT body FROM (
    (SELECT incident_id, body, expires FROM stanch.past_case
     WHERE alertname = %(alertname)s AND cause IS NOT NULL ORDER BY incident_id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT incident_id, body, expires FROM stanch.past_case
     WHERE service = %(service)s AND alertname <> %(alertname)s AND cause IS NOT NULL
     ORDER BY incident_id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT incident_id, body, expires FROM stanch.past_case
     WHERE cause = %(cause)s AND alertname <> %(alertname)s AND service IS DISTINCT FROM %(service)s
     ORDER BY incident_id DESC LIMIT %(limit)s)) AS near
WHERE incident_id <> %(incident)s AND expires > clock_timestamp()

-- name: hold_lessons
-- Two that remember at the same time would each count without the other.
SELECT pg_advisory_xact_lock(hashtext('stanch.lesson'))

-- name: save_lesson
INSERT INTO stanch.lesson (id, body) VALUES (%(id)s, %(body)s)
ON CONFLICT (id) DO UPDATE SET body = excluded.body, updated_at = clock_timestamp()

-- name: lessons
SELECT id, body, updated_at, confirmed_by, confirmed_at FROM stanch.lesson ORDER BY id

-- name: lessons_about
SELECT id, body, updated_at, confirmed_by, confirmed_at FROM stanch.lesson
WHERE body -> 'claim' ->> 'cause' = ANY(%(causes)s) ORDER BY id

-- name: confirm_lesson
UPDATE stanch.lesson SET confirmed_by = %(person)s, confirmed_at = clock_timestamp() WHERE id = %(id)s
RETURNING id
