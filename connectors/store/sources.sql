-- What sources bring, and what goes back to them.

-- name: accept
-- Many deliveries in one round trip, with one intake step for all of them, in the one transaction that the statement is.
-- A delivery that is there already is left out of the answer.
WITH given AS (
    SELECT * FROM unnest(%(receipts)s::uuid[], %(sources)s::text[], %(headers)s::text[], %(bodies)s::bytea[],
                         %(event_keys)s::text[], %(delivery_keys)s::text[])
         AS d (receipt, source, headers, body, event_key, delivery_key)
), taken AS (
    INSERT INTO stanch.inbox (receipt, source, headers, body, event_key, delivery_key)
    SELECT receipt, source, headers::jsonb, body, event_key, delivery_key FROM given
    ON CONFLICT DO NOTHING
    RETURNING id, receipt
), stepped AS (
    INSERT INTO stanch.step (kind, queue, args)
    SELECT 'intake', 'agent', CASE WHEN count(*) = 1 THEN jsonb_build_object('inbox', min(id))
                                   ELSE jsonb_build_object('inboxes', jsonb_agg(id ORDER BY id)) END
    FROM taken HAVING count(*) > 0
)
SELECT receipt FROM taken

-- name: delivered
-- The receipt of the first delivery of the same event.
SELECT receipt FROM stanch.inbox
WHERE source = %(source)s AND (event_key = %(event_key)s OR delivery_key = %(delivery_key)s)
ORDER BY id LIMIT 1

-- name: inboxes
SELECT id, receipt, source, headers, body, state, received_at FROM stanch.inbox
WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id

-- name: mark_inboxes
UPDATE stanch.inbox SET state = %(state)s, reason = %(reason)s WHERE id = ANY(%(ids)s::bigint[]) AND state = 'stored'

-- name: incident_to_join
-- Held open until the alerts are in. Not FOR UPDATE: whoever only refers to the incident need not wait.
SELECT id FROM stanch.incident
WHERE correlation_key = %(correlation_key)s AND state NOT IN ('resolved', 'self_resolved', 'closed')
FOR NO KEY UPDATE

-- name: add_alerts
-- Sorted, so that two notifications that share alerts wait for each other and never for ever.
INSERT INTO stanch.alert (fingerprint, starts_at, incident_id, source, status, labels, annotations, generator_url)
SELECT fingerprint, starts_at, incident_id, %(source)s, 'firing', labels::jsonb, annotations::jsonb, generator_url
FROM unnest(%(fingerprints)s::text[], %(starts)s::timestamptz[], %(incidents)s::bigint[], %(labels)s::text[],
            %(annotations)s::text[], %(generator_urls)s::text[])
     AS a (fingerprint, starts_at, incident_id, labels, annotations, generator_url)
ORDER BY fingerprint, starts_at
ON CONFLICT (fingerprint, starts_at) DO UPDATE
SET seen = stanch.alert.seen + 1, last_seen = clock_timestamp(),
    incident_id = coalesce(stanch.alert.incident_id, excluded.incident_id)

-- name: lock_correlation
-- One at a time decides whether an alert opens an incident: two groups of one cause must find each other.
SELECT pg_advisory_xact_lock(hashtext('stanch.correlation'))

-- name: recent_incidents
SELECT id, source, service, labels, correlation_key FROM stanch.incident
WHERE opened_at > clock_timestamp() - make_interval(secs => %(window_s)s)
  AND state NOT IN ('resolved', 'self_resolved', 'closed')
ORDER BY id LIMIT 1000

-- name: opened_by_source
SELECT count(*) AS opened FROM stanch.incident
WHERE source = %(source)s AND opened_at > clock_timestamp() - make_interval(secs => %(window_s)s)

-- name: incident_source
SELECT source FROM stanch.incident WHERE id = %(id)s

-- name: link_pagerduty
-- A reopened incident of theirs may belong to a new one of ours.
INSERT INTO stanch.pagerduty_incident (id, incident_id, dedup_key, html_url, heard_status)
VALUES (%(id)s, %(incident)s, %(dedup_key)s, %(html_url)s, %(status)s)
ON CONFLICT (id) DO UPDATE
SET incident_id = excluded.incident_id, dedup_key = coalesce(excluded.dedup_key, stanch.pagerduty_incident.dedup_key),
    html_url = coalesce(excluded.html_url, stanch.pagerduty_incident.html_url),
    heard_status = excluded.heard_status, heard_at = clock_timestamp(),
    reconciled_version = CASE WHEN excluded.incident_id = stanch.pagerduty_incident.incident_id
                              THEN stanch.pagerduty_incident.reconciled_version ELSE -1 END,
    attempts = 0, next_at = clock_timestamp()

-- name: hear_pagerduty
UPDATE stanch.pagerduty_incident SET heard_status = %(status)s, heard_at = clock_timestamp()
WHERE id = %(id)s RETURNING incident_id

-- name: pagerduty_due
-- Taken for lease_s, so that of several API processes one speaks to PagerDuty about an incident.
UPDATE stanch.pagerduty_incident
SET next_at = clock_timestamp() + make_interval(secs => %(lease_s)s), attempts = attempts + 1
WHERE id IN (
    SELECT p.id FROM stanch.pagerduty_incident p JOIN stanch.incident i ON i.id = p.incident_id
    WHERE p.reconciled_version < i.version AND p.next_at <= clock_timestamp()
    ORDER BY p.next_at LIMIT %(limit)s FOR UPDATE OF p SKIP LOCKED)
RETURNING id, incident_id, dedup_key, html_url, acknowledged_as, attempts

-- name: pagerduty_reconciled
UPDATE stanch.pagerduty_incident
SET reconciled_version = %(version)s, attempts = 0, next_at = clock_timestamp(), error = NULL,
    acknowledged_as = coalesce(%(acknowledged_as)s, acknowledged_as)
WHERE id = %(id)s AND incident_id = %(incident)s

-- name: pagerduty_later
UPDATE stanch.pagerduty_incident
SET next_at = clock_timestamp() + make_interval(secs => %(after_s)s), error = %(error)s,
    acknowledged_as = coalesce(%(acknowledged_as)s, acknowledged_as)
WHERE id = %(id)s

-- name: add_pagerduty_sent
INSERT INTO stanch.pagerduty_sent (pagerduty_id, incident_id, what, text)
VALUES (%(id)s, %(incident)s, %(what)s, %(text)s)

-- name: pagerduty_sent
SELECT what, text, at FROM stanch.pagerduty_sent
WHERE pagerduty_id = %(id)s AND incident_id = %(incident)s ORDER BY id

-- name: being_fixed
SELECT id, labels FROM stanch.incident WHERE state IN ('executing', 'verifying') ORDER BY id

-- name: alerts_to_silence
SELECT fingerprint, starts_at, source, labels, annotations FROM stanch.alert
WHERE incident_id = %(incident)s AND status = 'firing' AND source = ANY(%(sources)s)
ORDER BY fingerprint, starts_at LIMIT 200

-- name: add_silence
INSERT INTO stanch.silence (id, incident_id, matchers, ends_at)
VALUES (%(id)s, %(incident)s, %(matchers)s, %(ends_at)s)
ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, removed_at = NULL, settled_at = NULL

-- name: silences
SELECT s.id, s.incident_id, s.matchers, s.ends_at, s.made_at, s.removed_at, i.state,
       extract(epoch FROM clock_timestamp() - s.removed_at)::float8 AS removed_s
FROM stanch.silence s JOIN stanch.incident i ON i.id = s.incident_id
WHERE s.settled_at IS NULL ORDER BY s.made_at LIMIT 200

-- name: silence_removed
UPDATE stanch.silence SET removed_at = clock_timestamp() WHERE id = %(id)s AND removed_at IS NULL

-- name: silence_settled
UPDATE stanch.silence SET settled_at = clock_timestamp() WHERE id = %(id)s

-- name: set_integration
INSERT INTO stanch.integration (name, ok, says) VALUES (%(name)s, %(ok)s, %(says)s)
ON CONFLICT (name) DO UPDATE SET ok = excluded.ok, says = excluded.says, at = clock_timestamp()

-- name: integrations
SELECT name, ok, says, at, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s
FROM stanch.integration ORDER BY name

-- name: receipt
-- Until where a delivery got; for whoever sent a test.
SELECT receipt, source, state, reason, received_at FROM stanch.inbox WHERE receipt = %(receipt)s

-- name: came_since
SELECT receipt, source, state, reason, received_at FROM stanch.inbox
WHERE source = %(source)s AND received_at >= %(since)s ORDER BY id LIMIT 1

-- name: slack_try
-- Noted before it is sent. tried_s: since when an earlier try may have left a message, null when none did.
WITH before AS (
    SELECT tried_at FROM stanch.slack_message WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s
)
UPDATE stanch.slack_message SET tried_at = coalesce(tried_at, clock_timestamp())
WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s
RETURNING nonce, (SELECT extract(epoch FROM tried_at)::float8 FROM before) AS tried_s

-- name: slack_tried
-- What became of it is known.
UPDATE stanch.slack_message SET tried_at = NULL
WHERE incident_id = %(incident)s AND kind = %(kind)s AND ref = %(ref)s
