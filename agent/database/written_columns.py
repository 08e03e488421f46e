"""Which columns of a table a statement's text writes by UPDATE."""

from __future__ import annotations

import functools

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agent.database.missing_index import MAX_QUERY_CHARS, folded


@functools.lru_cache(maxsize=512)
def written(query: str, table: str) -> frozenset[str]:
    """Empty for another table or kind of statement, and for a text that cannot be read."""
    if len(query) > MAX_QUERY_CHARS or "update" not in query.lower():
        return frozenset()
    try:
        tree = sqlglot.parse_one(query, dialect="postgres")
    except (SqlglotError, RecursionError, ValueError):
        return frozenset()
    found: set[str] = set()
    for update in tree.find_all(exp.Update, exp.OnConflict):
        target = update.this if isinstance(update, exp.Update) else _inserted_into(update)
        if isinstance(target, exp.Table) and folded(target.this) == table:
            for assignment in update.expressions:
                if isinstance(assignment, exp.EQ):
                    found |= {folded(column.this) for column in assignment.this.find_all(exp.Column)}
    return frozenset(found)


def _inserted_into(conflict: exp.Expr) -> exp.Expr | None:
    insert = conflict.find_ancestor(exp.Insert)
    return insert.find(exp.Table) if insert is not None else None
