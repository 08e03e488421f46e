"""A session's statements: transactions, settings, cursors, COPY, EXPLAIN, PREPARE. DO, CALL and EXECUTE stay closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.lock import Mode
from guardrails.sql.newer import EXPLAIN_OPTIONS
from guardrails.sql.rows import read_rows
from guardrails.sql.statement import Draft

if TYPE_CHECKING:
    from guardrails.sql.cursor import Cursor
    from guardrails.sql.lex import Token

_PLAIN = frozenset(
    """
    show listen notify unlisten deallocate checkpoint close fetch move
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_OFF = frozenset({"false", "off", "0"})
_ROLLBACK = frozenset({"rollback", "abort"})
_COMMIT = frozenset({"commit", "end"})
_EXPLAIN_OPTIONS = frozenset(
    {"analyze", "verbose", "costs", "settings", "generic_plan", "buffers", "serialize", "wal", "timing", "summary"}
    | {"memory", "format"}
)


def read_session(cursor: Cursor) -> Draft:
    word = cursor.take().value
    if word == "begin" or (word == "start" and cursor.accept("transaction")):
        return _transaction(cursor, "begin")
    if word in _COMMIT:
        return _transaction(cursor, "commit prepared" if cursor.accept("prepared") else "commit")
    if word in _ROLLBACK:
        if cursor.accept("prepared"):
            return _transaction(cursor, "rollback prepared")
        cursor.accept_one("work", "transaction")
        to_savepoint = cursor.accept("to")
        return _transaction(cursor, "rollback to savepoint" if to_savepoint else "rollback")
    if word in ("savepoint", "release"):
        return _transaction(cursor, word)
    if word in ("set", "reset"):
        return _setting(cursor, word)
    if word == "discard":
        draft = Draft("discard")
        draft.does("discard", detail=cursor.label())
        return draft
    if word == "declare":
        return _declare(cursor)
    if word in _PLAIN:
        cursor.rest()
        return Draft(word)
    cursor.position = 0
    raise cursor.error("not understood:")


def _transaction(cursor: Cursor, kind: str) -> Draft:
    cursor.rest()
    draft = Draft(kind, outside_transaction=kind.endswith(" prepared"))
    draft.does(kind.replace(" ", "_"))
    return draft


def _setting(cursor: Cursor, word: str) -> Draft:
    draft = Draft(word)
    local = cursor.accept_one("local", "session")
    name = cursor.label().lower()
    if cursor.symbol("."):
        name += "." + cursor.label().lower()
    value = " ".join(token.value for token in cursor.rest())
    for filler in ("to ", "= "):
        value = value.removeprefix(filler)
    draft.does(word, column=value, detail=name, marks=frozenset({local} if local else ()))
    if name == "session_replication_role" and "replica" in value.lower():
        draft.does("disable_trigger", detail="every trigger and foreign key")
    return draft


def _declare(cursor: Cursor) -> Draft:
    cursor.name()
    while not cursor.accept("for"):
        cursor.take()
    draft = read_rows(cursor.rest())
    draft.kind = "declare"
    return draft


def read_copy(cursor: Cursor) -> Draft:
    draft = Draft("copy")
    if cursor.opens():
        draft = read_rows(cursor.group())
        draft.kind = "copy"
        cursor.expect("to")
    else:
        relation = cursor.relation()
        if cursor.opens():
            cursor.group()
        if cursor.accept("from"):
            draft.lock(relation, Mode.ROW_EXCLUSIVE, others=Mode.ROW_EXCLUSIVE)
            draft.does("insert_rows", relation)
        else:
            cursor.expect("to")
            draft.lock(relation, Mode.ACCESS_SHARE, others=Mode.ACCESS_SHARE)
    if cursor.accept("program"):
        draft.does("copy_program", detail=cursor.take().value[:60])
    elif cursor.accept_one("stdin", "stdout") == "":
        draft.does("copy_file", detail=cursor.take().value[:60])
    cursor.rest()
    return draft


def read_explain(cursor: Cursor) -> Draft:
    """EXPLAIN locks what its statement locks while it is planned, and runs it with ANALYZE."""
    runs = False
    options: tuple[Token, ...] = ()
    second = cursor.peek(1)
    if cursor.opens() and second is not None and second.value in _EXPLAIN_OPTIONS:
        options = cursor.group()
        runs = _runs(options)
    else:
        while word := cursor.accept_one("analyze", "analyse", "verbose"):
            runs = runs or word != "verbose"
    draft = read_rows(cursor.rest())
    if not runs:
        told = ("call", "newer_syntax")
        draft.operations = [operation for operation in draft.operations if operation.name.startswith(told)]
    for name in dict.fromkeys(token.value for token in options if token.kind == "word"):
        if name in EXPLAIN_OPTIONS:
            draft.needs(*EXPLAIN_OPTIONS[name])
    draft.kind = "explain"
    return draft


def _runs(options: tuple[Token, ...]) -> bool:
    """ANALYZE among EXPLAIN's options, unless switched off."""
    return any(
        token.value == "analyze" and not (index + 1 < len(options) and options[index + 1].value.lower() in _OFF)
        for index, token in enumerate(options)
    )


def read_prepare(cursor: Cursor) -> Draft:
    if cursor.accept("transaction"):
        draft = Draft("prepare transaction")
        cursor.take()
        draft.does("prepare_transaction")
        return draft
    cursor.name()
    if cursor.opens():
        cursor.group()
    cursor.expect("as")
    draft = read_rows(cursor.rest())
    draft.kind = "prepare"
    return draft
