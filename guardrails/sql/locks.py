"""Any statement → what it locks, rewrites and does; what no grammar here understands is refused.

`read` never guesses: an unknown statement raises, and its caller bounds it with `*`/AccessExclusiveLock.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from guardrails.sql.alter import alter_relation
from guardrails.sql.create import (
    alter_sequence,
    create_index,
    create_materialized_view,
    create_on_relation,
    create_sequence,
    create_statistics,
    create_table,
    create_trigger,
    create_view,
)
from guardrails.sql.cursor import Cursor
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import MODES, UNKNOWN_RELATIONS, LockTaken, Mode
from guardrails.sql.maintain import (
    alter_type,
    analyze,
    cluster,
    comment,
    domain,
    drop,
    grant,
    lock_table,
    publication,
    refresh,
    reindex,
    truncate,
    vacuum,
)
from guardrails.sql.parse import one_statement
from guardrails.sql.rows import read_rows
from guardrails.sql.session import read_copy, read_explain, read_prepare, read_session
from guardrails.sql.statement import Draft, Statement, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guardrails.sql.lex import Token

_AEL = Mode.ACCESS_EXCLUSIVE

_MAINTENANCE: dict[str, Callable[[Cursor], Draft]] = {
    "vacuum": vacuum,
    "analyze": analyze,
    "analyse": analyze,
    "reindex": reindex,
    "cluster": cluster,
    "refresh": refresh,
    "truncate": truncate,
    "lock": lock_table,
    "comment": comment,
    "drop": drop,
    "grant": grant,
    "revoke": grant,
    "copy": read_copy,
    "explain": read_explain,
    "prepare": read_prepare,
}
_QUERIES = frozenset({"select", "with", "values", "table", "insert", "update", "delete", "merge"})


def read(tokens: tuple[Token, ...]) -> Statement:
    """What one statement does.

    Raises:
        Unreadable: not understood, with the place.
    """
    return _draft(tokens).done()


def locks_of(sql: str) -> tuple[LockTaken, ...]:
    """The strongest lock on each relation one statement names, `*` for those only the catalog knows.

    Raises:
        Unreadable: not one statement that is understood.
    """
    return read(one_statement(sql)).taken()


def strongest(locks: Iterable[LockTaken]) -> tuple[LockTaken, ...]:
    """One lock a relation, the strongest, in the order and spelling of first mention."""
    spelled: dict[str, str] = {}
    best: dict[str, Mode] = {}
    for lock in locks:
        key = folded(lock.relation)
        spelled.setdefault(key, lock.relation)
        best[key] = max(best.get(key, Mode.ACCESS_SHARE), MODES[lock.mode])
    return tuple(LockTaken(spelled[key], mode.spelling) for key, mode in best.items())


def _draft(tokens: tuple[Token, ...]) -> Draft:
    first = tokens[0]
    word = first.value if first.kind == "word" else first.text
    if word in _QUERIES or word == "(":
        return read_rows(tokens)
    cursor = Cursor(tokens)
    cursor.take()
    if word in _MAINTENANCE:
        draft = _MAINTENANCE[word](cursor)
    elif word == "create":
        draft = _create(cursor)
    elif word == "alter":
        draft = _alter(cursor)
    else:
        cursor.position = 0
        draft = read_session(cursor)
    cursor.end()
    return draft


def _create(cursor: Cursor) -> Draft:
    replace = cursor.accept("or", "replace")
    if cursor.follows("unique", "index") or cursor.follows("index"):
        unique = cursor.accept("unique")
        cursor.expect("index")
        return create_index(cursor, unique=unique)
    marks = _persistence(cursor)
    if cursor.accept("table"):
        return create_table(cursor, marks)
    cursor.accept("recursive")
    if cursor.accept("view"):
        return create_view(cursor, replace=replace)
    for words, reader in _NAMED:
        if cursor.accept(*words):
            return reader(cursor)
    if cursor.accept("constraint", "trigger") or cursor.accept("trigger"):
        return create_trigger(cursor)
    if kind := cursor.accept_one("rule", "policy"):
        return create_on_relation(cursor, kind)
    if cursor.accept("publication"):
        return publication(cursor, "create publication")
    return _create_object(cursor)


_NAMED: tuple[tuple[tuple[str, ...], Callable[[Cursor], Draft]], ...] = (
    (("materialized", "view"), create_materialized_view),
    (("sequence",), create_sequence),
    (("statistics",), create_statistics),
)


def _persistence(cursor: Cursor) -> set[str]:
    cursor.accept_one("global", "local")
    word = cursor.accept_one("temp", "temporary", "unlogged")
    return {"temporary" if word.startswith("temp") else word} if word else set()


# What these make is new and names no relation; a function's body is only looked at.
_NEW_OBJECTS = (
    (("domain",), None),
    (("type",), None),
    (("schema",), None),
    (("role",), None),
    (("user",), None),
    (("group",), None),
    (("database",), None),
    (("tablespace",), None),
    (("function",), Mode.ACCESS_SHARE),
    (("procedure",), Mode.ACCESS_SHARE),
    (("aggregate",), None),
    (("operator",), None),
    (("cast",), None),
    (("collation",), None),
    (("text", "search"), None),
    (("event", "trigger"), None),
    (("server",), None),
    (("user", "mapping"), None),
    (("foreign", "data", "wrapper"), None),
    (("subscription",), None),
    (("extension",), _AEL),  # its script may do anything
    (("language",), None),
)


def _create_object(cursor: Cursor) -> Draft:
    for words, others in _NEW_OBJECTS:
        if not cursor.accept(*words):
            continue
        draft = Draft(f"create {' '.join(words)}")
        rest = cursor.rest()
        if others is not None:
            draft.lock(UNKNOWN_RELATIONS, others)
        draft.outside_transaction = words in (("database",), ("tablespace",), ("subscription",))
        values = {token.value for token in rest}
        if "atomic" in values and any(one.value == "begin" and two.value == "atomic" for one, two in pairwise(rest)):
            raise Unreadable("not understood: a BEGIN ATOMIC body; write the body AS $$ … $$")
        if words == ("schema",) and values & {"create", "grant"}:
            raise Unreadable("not understood: CREATE SCHEMA with elements; write them as statements of their own")
        marks = {"constraint"} if words == ("domain",) and values & {"check", "not", "constraint"} else set()
        draft.does(f"create_{'_'.join(words)}", detail=rest[0].text if rest else "", marks=frozenset(marks))
        return draft
    raise cursor.error("not understood: CREATE")


def _alter(cursor: Cursor) -> Draft:
    if cursor.follows("table", "all", "in") or cursor.follows("index", "all", "in"):
        raise cursor.error("not understood:")
    for words in (("table",), ("index",), ("view",), ("materialized", "view"), ("foreign", "table")):
        if cursor.accept(*words):
            return alter_relation(cursor, " ".join(words))
    if cursor.accept("sequence"):
        return alter_sequence(cursor)
    if cursor.accept("type"):
        return alter_type(cursor)
    if cursor.accept("domain"):
        return domain(cursor)
    if cursor.accept("publication"):
        return publication(cursor, "alter publication")
    if kind := cursor.accept_one("trigger", "rule", "policy"):
        return _alter_on_relation(cursor, kind)
    if cursor.accept("system"):
        return _alter_system(cursor)
    return _alter_object(cursor)


def _alter_on_relation(cursor: Cursor, kind: str) -> Draft:
    draft = Draft(f"alter {kind}")
    cursor.name()
    cursor.expect("on")
    relation = cursor.relation()
    draft.lock(relation, _AEL, others=_AEL)
    draft.does(f"alter_{kind}", relation)
    cursor.rest()
    return draft


def _alter_system(cursor: Cursor) -> Draft:
    draft = Draft("alter system", outside_transaction=True)
    if not cursor.accept_one("set", "reset"):
        raise cursor.error("SET or RESET expected")
    draft.does("alter_system", detail=cursor.label())
    cursor.rest()
    return draft


_CHANGED_OBJECTS = (
    (("role",), None),
    (("user",), None),
    (("group",), None),
    (("database",), None),
    (("schema",), None),
    (("function",), None),
    (("procedure",), None),
    (("routine",), None),
    (("aggregate",), None),
    (("operator",), None),
    (("collation",), None),
    (("text", "search"), None),
    (("event", "trigger"), None),
    (("server",), None),
    (("tablespace",), None),
    (("language",), None),
    (("default", "privileges"), None),
    (("statistics",), Mode.SHARE_UPDATE_EXCLUSIVE),
    (("subscription",), Mode.ACCESS_EXCLUSIVE),
    (("extension",), Mode.ACCESS_EXCLUSIVE),
)


def _alter_object(cursor: Cursor) -> Draft:
    for words, others in _CHANGED_OBJECTS:
        if not cursor.accept(*words):
            continue
        draft = Draft(f"alter {' '.join(words)}")
        rest = cursor.rest()
        if others is not None:
            draft.lock(UNKNOWN_RELATIONS, others)
        if words == ("database",) and [token.value for token in rest[1:3]] == ["set", "tablespace"]:
            draft.outside_transaction = True
            draft.does("set_tablespace", detail=rest[0].text)
        marks = {"rename"} if any(token.value == "rename" for token in rest[1:4]) else set()
        draft.does(f"alter_{'_'.join(words)}", detail=rest[0].text if rest else "", marks=frozenset(marks))
        return draft
    raise cursor.error("not understood: ALTER")
