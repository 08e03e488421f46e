"""What older servers do not know, and what to write for them: release notes and manuals of PostgreSQL 11 to 18."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrails.sql.statement import Draft

OPTIONS_SINCE: dict[str, dict[str, int]] = {
    "vacuum": {
        "skip_locked": 12,
        "index_cleanup": 12,
        "truncate": 12,
        "parallel": 13,
        "process_toast": 14,
        "process_main": 16,
        "skip_database_stats": 16,
        "only_database_stats": 16,
        "buffer_usage_limit": 16,
    },
    "analyze": {"skip_locked": 12, "buffer_usage_limit": 16},
    "reindex": {"concurrently": 14, "tablespace": 14},
}
"""The first major version that takes the option in brackets."""

EXPLAIN_OPTIONS: dict[str, tuple[int, str, str]] = {
    "wal": (13, "EXPLAIN (WAL)", "leave the option out"),
    "generic_plan": (
        16,
        "EXPLAIN (GENERIC_PLAN)",
        "PREPARE the query, SET plan_cache_mode = force_generic_plan, EXPLAIN EXECUTE it with NULLs",
    ),
    "serialize": (17, "EXPLAIN (SERIALIZE)", "leave the option out"),
    "memory": (17, "EXPLAIN (MEMORY)", "leave the option out"),
}
NULLS_BEFORE_15 = "leave it out, and add a second unique index over the other columns WHERE the column IS NULL"
REINDEX_BEFORE_12 = "CREATE INDEX CONCURRENTLY a second one like it, then DROP INDEX CONCURRENTLY the old one"
_BY_MARK = {
    "not_distinct": (15, "NULLS NOT DISTINCT", NULLS_BEFORE_15),
    "not_enforced": (18, "NOT ENFORCED", "NOT VALID: old rows are not checked, new ones are"),
    "virtual": (18, "a generated column without STORED", "a view that computes it"),
}


def needs_of_marks(draft: Draft, marks: Iterable[str]) -> None:
    """What the marks of a column or constraint ask of the server."""
    for mark in sorted(_BY_MARK.keys() & set(marks)):
        draft.needs(*_BY_MARK[mark])
