"""Which column of which table a name in a statement means: aliases, CTEs, derived tables, outer queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sqlglot import exp

from agent.database.advisor.statement import folded

if TYPE_CHECKING:
    from agent.database.advisor.demand import Occurrence


@dataclass(slots=True)
class Scope:
    """One SELECT's sources by alias; outer is the query around it."""

    outer: Scope | None
    sources: dict[str, Source] = field(default_factory=dict)
    outputs: dict[str, exp.Expr] = field(default_factory=dict)


@dataclass(slots=True)
class Derived:
    """A subquery, CTE or set operation: for each output in order its name and what it is made of, in which scope."""

    outputs: list[tuple[str, list[tuple[exp.Expr, Scope]]]] = field(default_factory=list)
    known: dict[str, list[tuple[Occurrence, str]]] = field(default_factory=dict)

    def named(self, name: str) -> list[tuple[exp.Expr, Scope]] | None:
        return next((made_of for known, made_of in self.outputs if known == name), None)

    def renamed(self, names: list[str]) -> Derived:
        kept = [(names[i] if i < len(names) else name, made_of) for i, (name, made_of) in enumerate(self.outputs)]
        return Derived(kept)

    def merged(self, other: Derived) -> Derived:
        """A set operation's outputs: by position, named by the first."""
        pairs = zip(self.outputs, other.outputs, strict=False)
        return Derived([(name, [*made_of, *more]) for (name, made_of), (_, more) in pairs])


Source: TypeAlias = "Occurrence | Derived"
_MAX_DEPTH = 20
"""Derived tables inside each other that a name is followed through."""


def looked_up(column: exp.Column, scope: Scope | None) -> tuple[Source, str, Scope] | None:
    """The source that a column's name means, the column's name there, and the scope it was found in."""
    name, alias = folded(column.this), folded(column.args.get("table"))
    while scope is not None:
        if alias:
            if alias in scope.sources:
                return scope.sources[alias], name, scope
        else:
            for source in scope.sources.values():
                if _has(source, name):
                    return source, name, scope
        scope = scope.outer
    return None


def base_columns(column: exp.Column, scope: Scope, depth: int = 0) -> list[tuple[Occurrence, str]]:
    """The table columns a name stands for, several below a UNION; empty when it is no plain column of any."""
    found = looked_up(column, scope)
    if found is None or depth > _MAX_DEPTH:
        return []
    source, name, _ = found
    if not isinstance(source, Derived):
        return [(source, name)] if source.table.column(name) is not None else []
    if name not in source.known:  # a CTE of unions of CTEs would be walked 2^n times
        columns: list[tuple[Occurrence, str]] = []
        for part, inner in source.named(name) or ():
            bare = part.unnest()
            if isinstance(bare, exp.Column):
                columns += [one for one in base_columns(bare, inner, depth + 1) if one not in columns]
        source.known[name] = columns
    return source.known[name]


def made_of(column: exp.Column, scope: Scope) -> list[tuple[exp.Expr, Scope]]:
    """The expressions behind a derived table's column; empty for a table's own."""
    found = looked_up(column, scope)
    if found is None or not isinstance(found[0], Derived):
        return []
    return found[0].named(found[1]) or []


def _has(source: Source, name: str) -> bool:
    if isinstance(source, Derived):
        return source.named(name) is not None
    return source.table.column(name) is not None
