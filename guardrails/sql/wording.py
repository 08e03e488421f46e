"""Parts of a statement written again, for the SQL that a finding tells to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.functions import READABLE
from guardrails.sql.identifier import UnusableName, checked, cut, quoted
from guardrails.sql.lex import Token

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_BLANK_AFTER = frozenset({"(", "[", ".", "::"})
_NO_BLANK_BEFORE = frozenset({")", "]", ",", ".", "::", "[", ";"})
CONCURRENTLY = Token("word", "CONCURRENTLY", "concurrently", 0)


def written(tokens: Iterable[Token]) -> str:
    """The tokens as a person would space them; comments are gone, names and strings are as they were."""
    parts: list[str] = []
    before: Token | None = None
    for token in tokens:
        if before is not None and not _are_joined(before, token):
            parts.append(" ")
        parts.append(token.text)
        before = token
    return "".join(parts)


def _are_joined(before: Token, token: Token) -> bool:
    if before.text in _NO_BLANK_AFTER or token.text in _NO_BLANK_BEFORE:
        return True
    return token.text == "(" and before.kind in ("word", "name") and before.value in READABLE


def derived_name(relation: str, *words: str) -> str:
    """`orders_customer_id_fkey`, quoted where it has to be, as PostgreSQL itself names what has no name."""
    parts = [_bare(relation.rpartition(".")[2] if '"' not in relation else relation), *map(_bare, words)]
    name = cut("_".join(parts))
    try:
        return quoted(checked(name))
    except UnusableName:
        return "the_name"


def _bare(name: str) -> str:
    """A name without its quotes, and without its schema."""
    if not name.endswith('"'):
        return name.rpartition(".")[2].lower()
    return name[name.rfind('"', 0, -1) + 1 : -1]


def names_in(tokens: Iterable[Token]) -> tuple[str, ...]:
    """The names of a list such as `a, "B"`."""
    return tuple(token.text for token in tokens if token.kind in ("word", "name"))
