"""A dropped function or type breaks the code that still names it."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="drop_object",
    level="warn",
    on=frozenset(
        {"drop_function", "drop_procedure", "drop_routine", "drop_aggregate", "drop_type", "drop_domain"}
        | {"drop_publication", "drop_subscription"}
    ),
    why="{detail} is gone afterwards, and code that still names it fails",
    fix="first deploy code that no longer names {detail}; look for it in pg_depend and pg_stat_user_functions",
)
