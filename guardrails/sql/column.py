"""Column definitions and table constraints, as CREATE TABLE and ALTER TABLE share them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from guardrails.sql.functions import READABLE, VOLATILE
from guardrails.sql.readonly import TYPES

if TYPE_CHECKING:
    from guardrails.sql.cursor import Cursor
    from guardrails.sql.lex import Token

_SERIAL = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_CONSTRAINT_WORDS = frozenset(
    """
    constraint not null check unique primary references generated deferrable initially enforced collate storage
    compression using with include default
    """.split()  # noqa: SIM905 a list of names reads better as text
)
# A default is a b_expr, which has no NOT or NULL of its own after its first token.
_DEFAULT_STOPS = frozenset(
    {"constraint", "not", "null", "check", "unique", "primary", "references", "generated", "deferrable", "initially"}
)
_TYPE_CONTINUATIONS = frozenset({"precision", "varying", "with", "without", "year", "month", "day", "hour", "minute"})
_CALLED_WITHOUT_EFFECT = frozenset({"coalesce", "nullif", "greatest", "least", "cast", "row", "array"})


@dataclass(slots=True)
class Column:
    """type is in lower case without its length; unknown_type = not one of PostgreSQL's own, so perhaps a domain.

    references are the tables its foreign keys point to; parts are its definition without constraints, and others.
    """

    name: str
    type: str
    marks: set[str] = field(default_factory=set)
    references: list[str] = field(default_factory=list)
    parts: dict[str, str | tuple[Token, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Constraint:
    """kind is check, unique, primary key, exclude, foreign key or not null.

    references is the other table of a key; column is set for not null, and for a CHECK that says no more than that.
    """

    kind: str
    name: str = ""
    column: str = ""
    references: str = ""
    marks: set[str] = field(default_factory=set)
    columns: tuple[Token, ...] = ()
    definition: tuple[Token, ...] = ()


def read_column(cursor: Cursor) -> Column:
    """`name type constraint…` up to a comma or the end."""
    start = cursor.position
    name = cursor.name()
    column = Column(name, *read_type(cursor))
    column.parts["definition"] = cursor.since(start)
    while not cursor.at_end and not _comma(cursor):
        _column_constraint(cursor, column)
    return column


def read_type(cursor: Cursor) -> tuple[str, set[str]]:
    """The type's first words, and marks: serial, unknown_type."""
    cursor.accept("setof")
    first = cursor.take()
    if first.kind not in ("word", "name"):
        raise cursor.error("a type expected")
    words = [first.value]
    while cursor.symbol("."):
        words = [cursor.label()]
    while cursor.word() in _TYPE_CONTINUATIONS and not cursor.follows("with", "("):
        words += _type_words(cursor)
    if cursor.opens():
        cursor.group()
        while cursor.follows("with", "time") or cursor.follows("without", "time"):
            words += _type_words(cursor)
    if cursor.accept("array"):
        words.append("[]")
    while cursor.symbol("["):
        while not cursor.symbol("]"):
            cursor.take()
        words.append("[]")
    name = " ".join(words).lower()
    marks = {"serial"} if name in _SERIAL else set()
    if not marks and words[0].lower() not in TYPES:
        marks.add("unknown_type")
    return name, marks


def _type_words(cursor: Cursor) -> list[str]:
    if cursor.accept("with", "time", "zone"):
        return ["with time zone"]
    if cursor.accept("without", "time", "zone"):
        return ["without time zone"]
    word = cursor.take().value
    if word in ("with", "without"):
        raise cursor.error("a type expected")
    if cursor.accept("to"):
        cursor.label()
    return [word]


def _comma(cursor: Cursor) -> bool:
    token = cursor.peek()
    return token is not None and token.text == ","


def _column_constraint(cursor: Cursor, column: Column) -> None:
    word = cursor.word()
    if word not in _CONSTRAINT_WORDS:
        raise cursor.error("a column constraint expected")
    if cursor.accept("not", "null"):
        column.marks.add("not_null")
        cursor.accept("no", "inherit")
    elif cursor.accept("null"):
        pass
    elif cursor.accept("check"):
        cursor.group()
        cursor.accept("no", "inherit")
        column.marks.add("check")
    elif cursor.accept("default"):
        _default(cursor, column)
    elif cursor.accept("generated"):
        _generated(cursor, column)
    elif cursor.accept("unique"):
        _unique(cursor, column)
    elif cursor.accept("primary", "key"):
        column.marks |= {"primary_key", "not_null"}
    elif cursor.accept("references"):
        start = cursor.position
        column.references.append(_references(cursor))
        column.parts["references"] = cursor.since(start)
    else:
        _column_option(cursor)


def _unique(cursor: Cursor, column: Column) -> None:
    column.marks.add("unique")
    if cursor.accept("nulls", "not", "distinct"):
        column.marks.add("not_distinct")
    cursor.accept("nulls", "distinct")


def _column_option(cursor: Cursor) -> None:
    if cursor.accept("constraint"):
        cursor.name()
    elif cursor.accept("collate"):
        cursor.relation()
    elif cursor.accept("storage") or cursor.accept("compression"):
        cursor.label()
    elif cursor.accept("using", "index", "tablespace"):
        cursor.name()
    elif cursor.accept("with") or cursor.accept("include"):
        cursor.group()
    elif not _deferral(cursor):
        raise cursor.error("a column constraint expected")


def _deferral(cursor: Cursor) -> bool:
    return (
        cursor.accept("deferrable")
        or cursor.accept("not", "deferrable")
        or cursor.accept("initially", "deferred")
        or cursor.accept("initially", "immediate")
        or cursor.accept("enforced")
        or cursor.accept("not", "enforced")
    )


def _default(cursor: Cursor, column: Column) -> None:
    expression = cursor.until(_DEFAULT_STOPS)
    column.marks.add("default")
    column.parts["default"] = expression
    if is_null(expression):
        column.marks.discard("default")
    if is_volatile(expression):
        column.marks.add("volatile_default")


def _generated(cursor: Cursor, column: Column) -> None:
    always = cursor.accept("always")
    if not always:
        cursor.expect("by", "default")
    cursor.expect("as")
    if cursor.accept("identity"):
        column.marks |= {"identity", "not_null"}
        if cursor.opens():
            cursor.group()
        return
    cursor.group()
    if cursor.accept("stored"):
        column.marks.add("stored")
    else:
        cursor.accept("virtual")
        column.marks.add("virtual")


def _references(cursor: Cursor) -> str:
    table = cursor.relation()
    if cursor.opens():
        cursor.group()
    while True:
        if cursor.accept("match"):
            cursor.label()
        elif cursor.accept("on"):
            if not cursor.accept_one("delete", "update"):
                raise cursor.error("DELETE or UPDATE expected")
            _referential_action(cursor)
        else:
            return table


def _referential_action(cursor: Cursor) -> None:
    if cursor.accept("no", "action") or cursor.accept("restrict") or cursor.accept("cascade"):
        return
    cursor.expect("set")
    if not cursor.accept_one("null", "default"):
        raise cursor.error("NULL or DEFAULT expected")
    if cursor.opens():
        cursor.group()


def starts_constraint(cursor: Cursor) -> bool:
    """Whether a table constraint begins here, not a column."""
    return (
        cursor.word() in ("constraint", "check", "foreign", "exclude")
        or cursor.follows("primary", "key")
        or cursor.word() == "unique"
        or cursor.follows("not", "null")
    )


def read_constraint(cursor: Cursor) -> Constraint:
    """A table constraint with its trailing NOT VALID, DEFERRABLE and the like."""
    name = cursor.name() if cursor.accept("constraint") else ""
    start = cursor.position
    constraint = _constraint_body(cursor)
    constraint.name = name
    while not cursor.at_end and not _comma(cursor):
        if cursor.accept("not", "valid"):
            constraint.marks.add("not_valid")
        elif cursor.follows("not", "enforced"):
            cursor.accept("not", "enforced")
            constraint.marks.add("not_enforced")
        elif cursor.follows("deferrable"):
            cursor.accept("deferrable")
            constraint.marks.add("deferrable")
        elif not (_deferral(cursor) or cursor.accept("no", "inherit")):
            raise cursor.error("not understood after a constraint:")
    constraint.definition = cursor.since(start)
    return constraint


def _constraint_body(cursor: Cursor) -> Constraint:
    if cursor.accept("check"):
        return Constraint("check", column=_never_null(cursor.group()))
    if cursor.accept("not", "null"):
        return Constraint("not null", column=cursor.name())
    if cursor.accept("unique"):
        return _index_constraint(cursor, Constraint("unique"))
    if cursor.accept("primary", "key"):
        return _index_constraint(cursor, Constraint("primary key"))
    if cursor.accept("exclude"):
        return _exclude(cursor)
    cursor.expect("foreign", "key")
    columns = cursor.group()
    cursor.expect("references")
    return Constraint("foreign key", references=_references(cursor), columns=columns)


def _never_null(condition: tuple[Token, ...]) -> str:
    """The column of a condition that is nothing but `column IS NOT NULL`; else empty."""
    if [token.value for token in condition[1:]] == ["is", "not", "null"] and condition[0].kind in ("word", "name"):
        return condition[0].text
    return ""


def _index_constraint(cursor: Cursor, constraint: Constraint) -> Constraint:
    if cursor.accept("nulls", "not", "distinct"):
        constraint.marks.add("not_distinct")
    cursor.accept("nulls", "distinct")
    if cursor.accept("using", "index"):
        if cursor.accept("tablespace"):
            raise cursor.error("columns expected")
        cursor.name()
        constraint.marks.add("using_index")
        return constraint
    constraint.columns = cursor.group()
    _index_parameters(cursor)
    return constraint


def _exclude(cursor: Cursor) -> Constraint:
    if cursor.accept("using"):
        cursor.name()
    cursor.group()
    _index_parameters(cursor)
    if cursor.accept("where"):
        cursor.group()
    return Constraint("exclude")


def _index_parameters(cursor: Cursor) -> None:
    if cursor.accept("include"):
        cursor.group()
    if cursor.accept("with"):
        cursor.group()
    if cursor.accept("using", "index", "tablespace"):
        cursor.name()


def is_null(expression: tuple[Token, ...]) -> bool:
    """`NULL`, perhaps with a cast."""
    return expression[0].kind == "word" and expression[0].value == "null"


def is_volatile(expression: tuple[Token, ...]) -> bool:
    """Whether it calls anything that is not known to stay the same within a statement."""
    for token, after in pairwise(expression):
        if after.text != "(" or token.kind not in ("word", "name"):
            continue
        known = token.value in READABLE or token.value in TYPES or token.value in _CALLED_WITHOUT_EFFECT
        if token.value in VOLATILE or not known:
            return True
    return False
