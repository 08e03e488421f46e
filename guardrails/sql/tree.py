"""sqlglot's syntax tree of one statement, behind a closed list of roots. Importing this costs a quarter of a second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError

from guardrails.sql.lex import Token, Unreadable, normal_text
from guardrails.sql.parser_tokens import parser_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOTS: tuple[type[exp.Expression], ...] = (
    exp.Select,
    exp.SetOperation,
    exp.Values,
    exp.Table,
    exp.Subquery,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
)
"""What sqlglot reads as PostgreSQL does. Command, Column, Alias and all others are its way of not understanding."""

MAX_TREE_TOKENS = 10_000
MAX_TYPE_DEPTH = 6
"""Cap on brackets after a type's name inside each other: sqlglot tries each as a type and then again as a call, so
every level doubles its time (measured on 30.30: 8 s at 18 levels)."""
_MAX_PREFIX_RUN = 40
_PREFIXES = frozenset({"not", "-", "+", "~", "case", "select", "exists", "array", "@"})

_POSTGRES = Postgres()
_TYPE_WORDS = frozenset(
    word.lower() for word, kind in Postgres.Tokenizer.KEYWORDS.items() if kind in Postgres.Parser.TYPE_TOKENS
) | {"array"}

# sqlglot warns on standard error when it falls back to Command, which we refuse anyway.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


def tree(tokens: Sequence[Token]) -> exp.Expression:
    """Sqlglot's tree of one statement.

    Raises:
        Unreadable: too big for the parser, not parsed, or a root outside ROOTS.
    """
    _check_size(tokens)
    try:
        known = parser_tokens(tokens)
        parsed = _POSTGRES.parser().parse(*known) if known else _POSTGRES.parse(normal_text(tokens))
    except (SqlglotError, RecursionError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise Unreadable(f"not understood: {_first_line(error)}") from error
    if len(parsed) != 1 or parsed[0] is None:
        raise Unreadable("not one statement")
    if not isinstance(parsed[0], ROOTS):
        raise Unreadable(f"not understood: {tokens[0].text.upper()[:40]}")
    return parsed[0]


def _check_size(tokens: Sequence[Token]) -> None:
    if len(tokens) > MAX_TREE_TOKENS:
        raise Unreadable(f"more than {MAX_TREE_TOKENS} tokens in one statement")
    if not tokens:
        return
    _kinds, texts, values, _starts = zip(*tokens, strict=True)
    prefixed = sum(map(values.count, _PREFIXES.intersection(values)))
    if prefixed > _MAX_PREFIX_RUN or texts.count("(") + texts.count("[") > MAX_TYPE_DEPTH:
        _check_shape(tokens)


def _check_shape(tokens: Sequence[Token]) -> None:
    """In order, which a statement with few prefixes and brackets does not need."""
    prefixes = 0
    open_types: list[bool] = []
    before = ""
    for kind, text, value, _start in tokens:
        if value in _PREFIXES:
            prefixes += 1
            if prefixes > _MAX_PREFIX_RUN:
                raise Unreadable(f"more than {_MAX_PREFIX_RUN} prefixes in a row")
        elif prefixes:
            prefixes = 0
        if kind == "punctuation" and text != ",":
            if text in "([":
                open_types.append(before in _TYPE_WORDS)
                if open_types[-1] and sum(open_types) > MAX_TYPE_DEPTH:
                    raise Unreadable(f"types with brackets nested more than {MAX_TYPE_DEPTH} deep")
            elif text in ")]" and open_types:
                open_types.pop()
        before = value if kind == "word" else value.lower()


def let_go(nodes: Sequence[exp.Expr]) -> None:
    """Cuts the links to parents: a tree nobody reads any more is then freed at once, without a garbage collection."""
    for node in nodes:
        node.parent = None


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
