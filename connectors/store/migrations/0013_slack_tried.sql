-- Since when a message may have been posted without our knowing: a process can end between Slack's answer and our note of
-- it. Null: it was never sent, or what became of it is known.
ALTER TABLE stanch.slack_message ADD COLUMN tried_at timestamptz;
