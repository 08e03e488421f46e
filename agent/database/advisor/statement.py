"""A statement's text as a tree under the guard's caps, and the part of it that only reads.

Only that part is ever planned: an UPDATE asks for the same index as the SELECT of the rows it would change, and
planning the SELECT takes no row-exclusive lock and needs no right to write.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from guardrails.sql.lex import Token, Unreadable, normal_text
from guardrails.sql.parse import one_statement
from guardrails.sql.tree import tree

MAX_STATEMENT_BYTES = 100_000
"""Longer texts are no statement that an index helps, and reading them would take seconds."""
_TYPES_BEFORE_A_PARAMETER = frozenset({"interval", "date", "timestamp", "timestamptz", "time", "timetz"})


class NotUnderstood(ValueError):
    """Why a statement gets no advice; the message is for people."""


@dataclass(frozen=True, slots=True)
class Statement:
    """text is what may be planned: as given for a query, written anew for a statement that writes or locks.

    kind is "select", "update", "delete", "insert" or "merge". exact: string constants in the tree are
    byte for byte those of the text.
    """

    text: str
    tree: exp.Query
    kind: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Write:
    """What a statement changes: kind is "insert", "update", "delete" or "merge"; columns are those an UPDATE sets."""

    kind: str
    schema: str | None
    table: str
    columns: frozenset[str]


def read(sql: str) -> Statement:
    """The statement, if it is exactly one and understood.

    Raises:
        NotUnderstood: with the reason.
    """
    if len(sql) > MAX_STATEMENT_BYTES:
        raise NotUnderstood(f"the statement is longer than {MAX_STATEMENT_BYTES} characters")
    try:
        given = one_statement(sql)
        tokens = _repaired(given)
        parsed = tree(tokens)
    except Unreadable as error:
        raise NotUnderstood(f"the statement is not understood: {error}") from error
    exact = not any(token.kind == "string" and "\\" in token.value for token in tokens)
    reading = _reading(parsed)
    if not isinstance(reading, exp.Query):
        raise NotUnderstood("the statement reads no rows that an index could find")
    locked = any(True for _ in reading.find_all(exp.Lock))
    if isinstance(parsed, exp.Query) and not locked:
        text = sql if tokens == given else normal_text(tokens)
    else:
        for node in list(reading.find_all(exp.Select)):
            node.set("locks", None)
        text = reading.sql(dialect="postgres")
    return Statement(text, reading, type(parsed).__name__.lower(), exact)


def written(sql: str) -> Write | None:
    """What one statement writes; None for one that writes no table or is not understood."""
    try:
        parsed = tree(_repaired(one_statement(sql)))
    except Unreadable:
        return None
    if not isinstance(parsed, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return None
    target = parsed.this.this if isinstance(parsed.this, exp.Schema) else parsed.this
    if not isinstance(target, exp.Table):
        return None
    kind = type(parsed).__name__.lower()
    return Write(kind, folded(target.args.get("db")) or None, folded(target.this), _updated(parsed))


def folded(identifier: object) -> str:
    """A name as the catalog has it: PostgreSQL lowers what is not quoted. "" for anything that is no name."""
    if not isinstance(identifier, exp.Identifier):
        return ""
    if identifier.args.get("quoted"):
        return identifier.name
    return "".join(character.lower() if character < "\x80" else character for character in identifier.name)


def tables(parsed: exp.Expr) -> tuple[tuple[str | None, str], ...]:
    """(schema or None, table) of every table named, each once; names of CTEs are left out."""
    own = {folded(cte.args["alias"].this) for cte in parsed.find_all(exp.CTE)}
    found = ((folded(table.args.get("db")) or None, folded(table.this)) for table in parsed.find_all(exp.Table))
    return tuple(dict.fromkeys((schema, name) for schema, name in found if name and (schema or name not in own)))


def _repaired(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """pg_stat_statements turns `interval '1 day'` into `interval $1`, which no server parses; a cast says the same."""
    repaired: list[Token] = []
    for token in tokens:
        before = repaired[-1] if repaired else None
        if token.kind == "parameter" and before is not None and before.value in _TYPES_BEFORE_A_PARAMETER:
            repaired[-1] = token
            repaired += [Token("punctuation", "::", "::", token.start), before]
        else:
            repaired.append(token)
    return tuple(repaired) if len(repaired) != len(tokens) else tokens


def _reading(parsed: exp.Expression) -> exp.Expr | None:
    match parsed:
        case exp.Query():
            return parsed
        case exp.Delete():
            return _rows_of(parsed, [parsed.this, *(parsed.args.get("using") or ())])
        case exp.Update():
            more = parsed.args.get("from_")
            sources = [parsed.this, *([more.this] if more is not None else [])]
            values = [part.expression for part in parsed.expressions if isinstance(part, exp.EQ)]
            return _rows_of(parsed, sources, [value for value in values if value.find(exp.Subquery)])
        case exp.Insert() if isinstance(parsed.expression, exp.Query):
            reading = parsed.expression.copy()
            if parsed.args.get("with_") is not None and reading.args.get("with_") is None:
                reading.set("with_", parsed.args["with_"].copy())
            return reading
        case exp.Merge():
            joined = exp.Join(this=parsed.args["using"].copy(), on=parsed.args["on"].copy())
            return exp.Select(
                expressions=[exp.Literal.number(1)], from_=exp.From(this=parsed.this.copy()), joins=[joined]
            )
        case _:
            return None


def _rows_of(parsed: exp.Expression, sources: list[exp.Expr], values: list[exp.Expr] | None = None) -> exp.Select:
    """The SELECT of the rows that a write would touch."""
    projections = [value.copy() for value in values or ()] or [exp.Literal.number(1)]
    selected = exp.Select(expressions=projections, from_=exp.From(this=sources[0].copy()))
    joins = [exp.Join(this=source.copy()) for source in sources[1:]]
    if joins:
        selected.set("joins", joins)
    for name in ("where", "with_"):
        if parsed.args.get(name) is not None:
            selected.set(name, parsed.args[name].copy())
    return selected


def _updated(parsed: exp.Expression) -> frozenset[str]:
    updates = [parsed] if isinstance(parsed, exp.Update) else list(parsed.find_all(exp.Update))
    named: set[str] = set()
    for update in updates:
        for part in update.expressions:
            left = part.this if isinstance(part, exp.EQ) else None
            for column in [left] if isinstance(left, exp.Column) else left.expressions if left is not None else ():
                named.add(folded(column.this))
    return frozenset(named)
