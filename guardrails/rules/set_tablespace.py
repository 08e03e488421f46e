"""SET TABLESPACE copies the files under the strongest lock."""

from __future__ import annotations

from guardrails.rules.rule import Rule

RULE = Rule(
    name="set_tablespace",
    level="refuse",
    on=frozenset({"set_tablespace"}),
    why="SET TABLESPACE copies {relation} under AccessExclusiveLock",
    fix="build a copy in the new tablespace (pg_repack --tablespace, or a new index CONCURRENTLY) and swap",
)
