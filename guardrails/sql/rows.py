"""Statements over rows are read by sqlglot, loaded at the first of them: DDL does without its quarter second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.lex import Unreadable

if TYPE_CHECKING:
    from guardrails.sql.lex import Token
    from guardrails.sql.statement import Draft


def read_rows(tokens: tuple[Token, ...]) -> Draft:
    """SELECT, INSERT, UPDATE, DELETE or MERGE.

    Raises:
        Unreadable: sqlglot does not take it for such a statement.
    """
    if not tokens:
        raise Unreadable("a query expected at the end")
    from guardrails.sql.query import read_query  # noqa: PLC0415 see above

    return read_query(tokens)
