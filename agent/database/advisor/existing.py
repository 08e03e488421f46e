"""Which index of a table already does what a new one would, and which the new one makes redundant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.advisor.expression import NotIndexable, rendered
from guardrails.sql.lex import Unreadable
from guardrails.sql.parse import one_statement
from guardrails.sql.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.database.advisor.catalog import IndexKey, IndexProfile, TableProfile
    from agent.database.advisor.definition import Definition, Key


def serving(definition: Definition, table: TableProfile) -> IndexProfile | None:
    """A usable index that begins with the same keys, over all the rows. INVALID ones serve nobody."""
    return next((index for index in table.indexes if index.usable and _serves(index, definition, table)), None)


def unusable(definition: Definition, table: TableProfile) -> IndexProfile | None:
    """An INVALID or half-built index of the same keys: it is to be dropped, not counted."""
    return next((index for index in table.indexes if not index.usable and _serves(index, definition, table)), None)


def redundant(definition: Definition, table: TableProfile) -> tuple[str, ...]:
    """Names of complete, non-unique btrees whose keys are the beginning of the new index's."""
    return tuple(
        index.name
        for index in table.indexes
        if index.usable
        and not index.unique
        and not index.predicate
        and not definition.where
        and index.method == definition.method == "btree"
        and set(index.include) <= set(definition.include)
        and len(index.keys) <= len(definition.keys)
        and _begins(index.keys, definition.keys[: len(index.keys)], table)
    )


def _serves(index: IndexProfile, definition: Definition, table: TableProfile) -> bool:
    if index.method != definition.method or len(index.keys) < len(definition.keys):
        return False
    if index.predicate and canonical(index.predicate, table) != definition.where:
        return False
    held = {key.column for key in index.keys} | set(index.include)
    if not held.issuperset(definition.include):
        return False
    if definition.method != "btree":
        wanted = {(key.sql, _bare_class(key.opclass)) for key in definition.keys}
        return wanted <= {(_key_text(key, table), _bare_class(key.opclass)) for key in index.keys}
    return _begins(index.keys, definition.keys, table)


def _begins(have: Sequence[IndexKey], wanted: Sequence[Key], table: TableProfile) -> bool:
    """Key by key the same; a btree is read in both directions."""
    pairs = list(zip(have, wanted, strict=False))
    if any(
        _key_text(one, table) != two.sql or _bare_class(one.opclass) != _bare_class(two.opclass) for one, two in pairs
    ):
        return False
    return len(set(_turned(pairs))) <= 1


def _turned(pairs: list[tuple[IndexKey, Key]]) -> Iterator[str]:
    """For each pair whether the directions are alike, opposite, or neither."""
    for one, two in pairs:
        first = two.descending if two.nulls_first is None else two.nulls_first
        if (one.descending, one.nulls_first) == (two.descending, first):
            yield "alike"
        elif (one.descending, one.nulls_first) == (not two.descending, not first):
            yield "opposite"
        else:
            yield from ("neither", "fits")


def _bare_class(opclass: str) -> str:
    return opclass.rsplit(".", 1)[-1]


def _key_text(key: IndexKey, table: TableProfile) -> str:
    return canonical(key.text, table)


def canonical(text: str, table: TableProfile) -> str:
    """An expression or predicate of the catalog as this advisor would write it; as it is when that cannot be told."""
    try:
        parsed = tree(one_statement(f"SELECT {text}"))
        node = parsed.expressions[0].unnest()
    except (Unreadable, IndexError, AttributeError):
        return text

    def type_of(name: str) -> str | None:
        column = table.column(name)
        return column.type if column is not None else None

    try:
        return _predicate(node, type_of)
    except (NotIndexable, ValueError):
        return text


def _predicate(node: exp.Expr, known: Callable[[str], str | None]) -> str:
    node = node.unnest()
    match node:
        case exp.EQ() | exp.NEQ():
            sign = "=" if isinstance(node, exp.EQ) else "<>"
            return f"{_side(node.this, known)} {sign} {_side(node.expression, known)}"
        case exp.Is() if isinstance(node.expression, exp.Null):
            return f"{_side(node.this, known)} IS {'NOT ' if node.args.get('negate') else ''}NULL"
        case exp.Not():
            return f"NOT {_side(node.this, known)}"
        case _:
            return _side(node, known)


def _side(node: exp.Expr, known: Callable[[str], str | None]) -> str:
    return rendered(node, known)[0]
