-- What a role never has to change it may not change: an execution stays with its approval, an approval with its digest.

REVOKE UPDATE ON stanch.execution FROM stanch_executor;
GRANT UPDATE (state, version, progress, result, started_at, finished_at) ON stanch.execution TO stanch_executor;

REVOKE UPDATE ON stanch.approval FROM stanch_api;
GRANT UPDATE (state, version, decided_at) ON stanch.approval TO stanch_api;
