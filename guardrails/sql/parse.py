"""A text that has to be exactly one statement."""

from __future__ import annotations

from guardrails.sql.lex import Token, Unreadable, lex, statements


def one_statement(sql: str) -> tuple[Token, ...]:
    """The tokens of exactly one statement; one semicolon may close it.

    Raises:
        Unreadable: no statement, several, or a text lex() refuses.
    """
    tokens = lex(sql)
    if tokens and ";" not in sql:
        return tokens
    found = statements(tokens)
    if len(found) != 1:
        raise Unreadable("no statement" if not found else f"{len(found)} statements where one is meant")
    return found[0]
