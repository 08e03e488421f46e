"""VACUUM FULL rewrites the table under the strongest lock."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="vacuum_full",
    level="refuse",
    on=frozenset({"vacuum_full"}),
    why="VACUUM FULL rewrites {relation} and its indexes under AccessExclusiveLock, and needs as much disk again",
    fix=(
        "VACUUM (ANALYZE){table}; /* to give space back to the disk: pg_repack, or REPACK (CONCURRENTLY) from 19 on */"
    ),
)
