"""May this be done? Typed actions, the judge, permits and the audit chain: pure."""
