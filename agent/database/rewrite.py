"""Query texts that ask the same in a cheaper way. They are shown to people and never run for anyone.

A rewrite is offered only where the answer is certain to be the same on any data: NULLs, duplicates, column names and
types. Whether it is cheaper the planner says, and equality is checked once more on a sample of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.database.missing_index import tables_named
from agent.database.rewriting import (
    correlated_subquery,
    disjunction,
    distinct_join,
    negated_in,
    paging,
)
from agent.database.rewriting.sample import comparison
from agent.database.rewriting.scope import ColumnShape, NotSure, Query, RelationShape, printed
from agent.database.text import is_plain
from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlglot import exp

__all__ = ["ColumnShape", "NotSure", "RelationShape", "Rewrite", "Rewritten", "comparison", "rewritten", "tables_named"]


@dataclass(frozen=True, slots=True)
class Rewrite(Value):
    """A query in another form.

    kind "equal": the same answer. kind "hint": another question that serves the application better, with parameters
    of its own to fill in.
    """

    rule: str
    kind: Literal["equal", "hint"]
    sql: str
    why: str


@dataclass(frozen=True, slots=True)
class Rewritten(Value):
    """All rewrites of one query, and why rules that saw their shape in it held back."""

    rewrites: tuple[Rewrite, ...]
    refusals: tuple[str, ...]


def rewritten(query: str, relations: Sequence[RelationShape]) -> Rewritten:
    """Rewrites of one SELECT, whose tables are all in relations; none where nothing fits or anything is unsure."""
    try:
        text = Query(query, relations).printed
    except NotSure as unsure:
        return Rewritten((), (str(unsure),))
    if not is_plain(text):
        return Rewritten((), ("characters in it that do not show as they are",))
    found: list[Rewrite] = []
    refusals: list[str] = []
    for rule, kind, why, apply in _RULES:
        try:
            sql = apply(Query(query, relations))
            if sql is not None:
                found.append(Rewrite(rule, kind, sql, why))
        except NotSure as unsure:
            refusals.append(f"{rule}: {unsure}")
    return Rewritten(tuple(found), tuple(refusals))


def _changed(rule: Callable[[Query], int]) -> Callable[[Query], str | None]:
    return lambda query: printed(query.tree) if rule(query) else None


def _union(query: Query) -> str | None:
    tree: exp.Query | None = disjunction.rewrite(query)
    return printed(tree) if tree is not None else None


_RULES: tuple[tuple[str, Literal["equal", "hint"], str, Callable[[Query], str | None]], ...] = (
    (correlated_subquery.NAME, "equal", correlated_subquery.WHY, _changed(correlated_subquery.rewrite)),
    (negated_in.NAME, "equal", negated_in.WHY, _changed(negated_in.rewrite)),
    (disjunction.NAME, "equal", disjunction.WHY, _union),
    (distinct_join.NAME, "equal", distinct_join.WHY, _changed(distinct_join.rewrite)),
    (paging.NAME, "hint", paging.WHY, _changed(paging.rewrite)),
)
