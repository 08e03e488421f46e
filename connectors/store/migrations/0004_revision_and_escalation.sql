-- A person may edit what is proposed: the waiting approval is superseded and the worker drafts the next revision.
-- proposed_by: who asked for the edit, NULL when the agent proposed it by itself; nobody approves their own in production.
ALTER TABLE stanch.proposal ADD COLUMN proposed_by text;
INSERT INTO stanch.allowed_transition (machine, from_state, to_state, writer) VALUES
    ('incident', 'awaiting_approval', 'investigating', 'stanch_api');

-- When it was told a second time that nobody has decided.
ALTER TABLE stanch.approval ADD COLUMN escalated_at timestamptz;
GRANT UPDATE (escalated_at) ON stanch.approval TO stanch_api;
