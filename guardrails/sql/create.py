"""CREATE: new relations lock nothing themselves, but what they refer to is locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.column import Column, read_column, read_constraint, starts_constraint
from guardrails.sql.cursor import Cursor
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import Mode
from guardrails.sql.newer import NULLS_BEFORE_15, needs_of_marks
from guardrails.sql.rows import read_rows
from guardrails.sql.statement import Draft

if TYPE_CHECKING:
    from guardrails.sql.lex import Token

_AEL = Mode.ACCESS_EXCLUSIVE
_SUE = Mode.SHARE_UPDATE_EXCLUSIVE
_SRE = Mode.SHARE_ROW_EXCLUSIVE


def create_index(cursor: Cursor, *, unique: bool) -> Draft:
    draft = Draft("create index")
    marks = {"unique"} if unique else set()
    if cursor.accept("concurrently"):
        marks.add("concurrently")
    if cursor.accept("if", "not", "exists"):
        marks.add("if_not_exists")
    start = cursor.position
    name = "" if cursor.word() == "on" else cursor.relation()
    cursor.expect("on")
    if cursor.accept("only"):
        marks.add("only")
    relation = cursor.relation()
    if cursor.accept("using"):
        cursor.name()
    columns = _count(cursor.group())
    _after_columns(cursor, draft)
    if cursor.accept("where"):
        marks.add("partial")
        cursor.until(frozenset())
    mode = _SUE if "concurrently" in marks else Mode.SHARE
    # A partitioned table, whose partitions would be locked as well, takes no CONCURRENTLY.
    draft.lock(relation, mode, others=None if "concurrently" in marks else mode)
    draft.scans.append(relation)
    draft.outside_transaction = draft.waits = "concurrently" in marks
    if columns > 3:  # noqa: PLR2004 the limit strong_migrations has for indexes that are not unique
        marks.add("wide")
    parts: dict[str, str | tuple[Token, ...]] = {"unique": "UNIQUE " if unique else "", "rest": cursor.since(start)}
    draft.does("create_index", relation, column=str(columns), detail=name, marks=frozenset(marks), parts=parts)
    return draft


def _after_columns(cursor: Cursor, draft: Draft) -> None:
    if cursor.accept("include"):
        cursor.group()
        draft.needs(11, "INCLUDE", "leave these columns out, or make them the last of the index if it is not UNIQUE")
    if cursor.accept("nulls", "not", "distinct") or cursor.accept("nulls", "distinct"):
        draft.needs(15, "NULLS [NOT] DISTINCT", NULLS_BEFORE_15)
    if cursor.accept("with"):
        cursor.group()
    if cursor.accept("tablespace"):
        cursor.name()


def _count(tokens: tuple[Token, ...]) -> int:
    depth, commas = 0, 0
    for token in tokens:
        if token.kind == "punctuation":
            depth += (token.text in "([") - (token.text in ")]")
            commas += token.text == "," and depth == 0
    if not tokens:
        raise Unreadable("an index without columns")
    return commas + 1


def create_table(cursor: Cursor, marks: set[str]) -> Draft:
    """After CREATE [TEMP | UNLOGGED] TABLE."""
    draft = Draft("create table")
    if cursor.accept("if", "not", "exists"):
        marks.add("if_not_exists")
    relation = cursor.relation()
    draft.creates.append(relation)
    if cursor.accept("partition", "of"):
        _partition_of(cursor, draft, relation, marks)
        return draft
    if cursor.accept("of"):
        draft.lock(cursor.relation(), Mode.ACCESS_SHARE)  # a composite type is a relation, too
        marks.add("typed")
    if cursor.opens() and not _is_as(cursor):
        _elements(Cursor(cursor.group()), draft, relation)
    if cursor.accept("inherits"):
        parents = Cursor(cursor.group())
        draft.lock(parents.relations(), _SUE)
        parents.end()
    _storage(cursor)
    if cursor.accept("as"):
        _as_query(cursor, draft)
        marks.add("as")
    draft.does("create_table", relation, marks=frozenset(marks))
    return draft


def _is_as(cursor: Cursor) -> bool:
    """`CREATE TABLE t (a, b) AS …`: a list of bare names."""
    probe = cursor.fork()
    names = probe.group()
    bare = all((token.kind in ("word", "name")) != bool(index % 2) for index, token in enumerate(names))
    if not bare or probe.word() not in ("as", "using", "with", "on", "tablespace"):
        return False
    cursor.position = probe.position
    return True


def _storage(cursor: Cursor) -> None:
    if cursor.accept("partition", "by"):
        cursor.label()
        cursor.group()
    if cursor.accept("using"):
        cursor.name()
    if not cursor.accept("without", "oids") and cursor.accept("with"):
        cursor.group()
    if cursor.accept("on", "commit"):
        _ = cursor.accept("drop") or cursor.accept("preserve", "rows") or cursor.accept("delete", "rows")
    if cursor.accept("tablespace"):
        cursor.name()


def _partition_of(cursor: Cursor, draft: Draft, relation: str, marks: set[str]) -> None:
    parent = cursor.relation()
    # The default partition, if there is one, is locked and scanned as well.
    draft.lock(parent, _AEL, others=_AEL)
    if cursor.opens():
        cursor.group()
    if not cursor.accept("default"):
        cursor.expect("for", "values")
        _bound(cursor)
    _storage(cursor)
    draft.does("create_partition", parent, detail=relation, marks=frozenset(marks))


def _bound(cursor: Cursor) -> None:
    if cursor.accept("in"):
        cursor.group()
    elif cursor.accept("from"):
        cursor.group()
        cursor.expect("to")
        cursor.group()
    else:
        cursor.expect("with")
        cursor.group()


def _elements(cursor: Cursor, draft: Draft, relation: str) -> None:
    while not cursor.at_end:
        if cursor.accept("like"):
            draft.lock(cursor.relation(), Mode.ACCESS_SHARE)
            while cursor.accept_one("including", "excluding"):
                cursor.label()
        elif starts_constraint(cursor):
            constraint = read_constraint(cursor)
            needs_of_marks(draft, constraint.marks)
            if constraint.references:
                draft.lock(constraint.references, _SRE, others=_SRE)
                draft.does("create_table_references", relation, detail=constraint.references)
        else:
            _column(read_column(cursor), draft, relation)
        if not cursor.at_end:
            cursor.expect_symbol(",")


def _column(column: Column, draft: Draft, relation: str) -> None:
    needs_of_marks(draft, column.marks)
    for other in column.references:
        draft.lock(other, _SRE, others=_SRE)
        draft.does("create_table_references", relation, column=column.name, detail=other)
    draft.does("new_column", relation, column=column.name, detail=column.type, marks=frozenset(column.marks))


def _as_query(cursor: Cursor, draft: Draft) -> None:
    if cursor.word() == "execute":
        raise cursor.error("not understood:")
    tokens = _without_tail(cursor.rest(), ("with", "no", "data"), ("with", "data"))
    query = read_rows(tokens)
    if query.kind != "select":
        raise Unreadable("a query expected after AS")
    draft.locks += query.locks
    draft.operations += query.operations


def _without_tail(tokens: tuple[Token, ...], *tails: tuple[str, ...]) -> tuple[Token, ...]:
    for tail in tails:
        if tuple(token.value for token in tokens[-len(tail) :]) == tail:
            return tokens[: -len(tail)]
    return tokens


def create_view(cursor: Cursor, *, replace: bool) -> Draft:
    draft = Draft("create view")
    relation = cursor.relation()
    if cursor.opens():
        cursor.group()
    if cursor.accept("with"):
        cursor.group()
    cursor.expect("as")
    tokens = _without_tail(
        cursor.rest(),
        ("with", "check", "option"),
        ("with", "local", "check", "option"),
        ("with", "cascaded", "check", "option"),
    )
    query = read_rows(tokens)
    draft.locks += query.locks
    if replace:
        draft.lock(relation, _AEL)
        draft.does("replace_view", relation)
    else:
        draft.creates.append(relation)
    return draft


def create_materialized_view(cursor: Cursor) -> Draft:
    draft = Draft("create materialized view")
    cursor.accept("if", "not", "exists")
    draft.creates.append(cursor.relation())
    if cursor.opens():
        cursor.group()
    _storage(cursor)
    cursor.expect("as")
    _as_query(cursor, draft)
    return draft


def create_trigger(cursor: Cursor) -> Draft:
    """After CREATE [OR REPLACE] [CONSTRAINT] TRIGGER."""
    draft = Draft("create trigger")
    name = cursor.name()
    if not (cursor.accept_one("before", "after") or cursor.accept("instead", "of")):
        raise cursor.error("BEFORE, AFTER or INSTEAD OF expected")
    while not cursor.accept("on"):
        cursor.take()
    relation = cursor.relation()
    draft.lock(relation, _SRE, others=_SRE)
    if cursor.accept("from"):
        draft.lock(cursor.relation(), Mode.ACCESS_SHARE)
    while not cursor.accept("execute"):
        cursor.take()
    if not cursor.accept_one("function", "procedure"):
        raise cursor.error("FUNCTION expected")
    cursor.relation()
    cursor.group()
    draft.does("create_trigger", relation, detail=name)
    return draft


def create_on_relation(cursor: Cursor, kind: str) -> Draft:
    """RULE and POLICY: everything after the relation is theirs."""
    draft = Draft(f"create {kind}")
    cursor.name()
    if kind == "rule":
        cursor.expect("as")
        cursor.expect("on")
        if cursor.accept_one("select", "insert", "update", "delete") == "":
            raise cursor.error("an event expected")
        cursor.expect("to")
    else:
        cursor.expect("on")
    relation = cursor.relation()
    # A policy or rule may name other tables, which are only looked up.
    draft.lock(relation, _AEL, others=Mode.ROW_EXCLUSIVE)
    draft.does(f"create_{kind}", relation)
    cursor.rest()
    return draft


def create_statistics(cursor: Cursor) -> Draft:
    draft = Draft("create statistics")
    cursor.accept("if", "not", "exists")
    if cursor.word() != "on" and not cursor.opens():
        cursor.relation()
    if cursor.opens():
        cursor.group()
    cursor.expect("on")
    while not cursor.accept("from"):
        cursor.until(frozenset({"from"}))
        cursor.symbol(",")
    draft.lock(cursor.relations(), _SUE)
    return draft


def create_sequence(cursor: Cursor) -> Draft:
    draft = Draft("create sequence")
    cursor.accept("if", "not", "exists")
    draft.creates.append(cursor.relation())
    _sequence_options(cursor, draft)
    return draft


def _sequence_options(cursor: Cursor, draft: Draft) -> None:
    while not cursor.at_end:
        if cursor.accept("owned", "by"):
            if not cursor.accept("none"):
                owner = cursor.relation().rpartition(".")[0]
                draft.lock(owner, Mode.ACCESS_SHARE)
        else:
            cursor.take()


def alter_sequence(cursor: Cursor) -> Draft:
    draft = Draft("alter sequence")
    cursor.accept("if", "exists")
    relation = cursor.relation()
    if cursor.word() in ("owner", "rename") or cursor.follows("set", "schema"):
        cursor.rest()
        draft.lock(relation, _AEL)
        return draft
    if cursor.at_end:
        raise cursor.error("an option expected")
    strong = cursor.follows("set", "logged") or cursor.follows("set", "unlogged")
    draft.lock(relation, _AEL if strong else _SRE)
    draft.rewrites.append(relation)  # one page, but a new file
    _sequence_options(cursor, draft)
    return draft
