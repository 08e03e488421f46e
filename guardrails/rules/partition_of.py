"""CREATE TABLE … PARTITION OF locks the whole partitioned table."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="partition_of",
    level="warn",
    on=frozenset({"create_partition"}),
    why="CREATE TABLE … PARTITION OF takes AccessExclusiveLock on {relation}, and scans its default partition",
    fix=(
        "CREATE TABLE {detail} (LIKE {relation} INCLUDING ALL); then ALTER TABLE {relation} ATTACH PARTITION "
        "{detail} … (ShareUpdateExclusiveLock, 12 and later)"
    ),
)
