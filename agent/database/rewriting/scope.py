"""A query as rewrites may touch it: every node known, every column traced to the table it comes from.

Whatever is not known for certain is refused. The text that comes out has to mean the same to PostgreSQL on any data, so
functions of unknown volatility, whole-row references, laterals, USING and the like end here.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agent.database.missing_index import MAX_NESTING, MAX_QUERY_CHARS, folded
from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KNOWN: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Select, exp.Subquery, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered),
        *(exp.Limit, exp.Offset, exp.Distinct, exp.Table, exp.TableAlias, exp.Alias, exp.Identifier, exp.Column),
        *(exp.Star, exp.Literal, exp.Parameter, exp.Null, exp.Boolean, exp.Paren, exp.Tuple, exp.Neg, exp.Not),
        *(exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.In, exp.Exists, exp.Between, exp.Like, exp.ILike, exp.RegexpLike, exp.Any, exp.All, exp.Add, exp.Sub),
        *(exp.Mul, exp.Div, exp.DPipe, exp.Case, exp.If, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval),
        *(exp.Var, exp.Coalesce, exp.Nullif, exp.Lower, exp.Upper, exp.Abs, exp.Extract, exp.TimestampTrunc),
        *(exp.CurrentDate, exp.CurrentTimestamp, exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg),
    }
)
"""Nothing in here is volatile, and all of it prints as the PostgreSQL it was parsed from."""
_SELECT_PARTS = frozenset({"expressions", "distinct", "from_", "joins", "where", "group", "having", "order"})
_PAGING_PARTS = frozenset({"limit", "offset"})
_TABLE_PARTS = frozenset({"this", "db", "alias"})
_JOIN_PARTS = frozenset({"this", "on", "side", "kind"})
_OUTER = {(side, kind) for side in ("LEFT", "RIGHT", "FULL") for kind in ("", "OUTER")}
_JOIN_KINDS = frozenset({("", ""), ("", "INNER"), ("", "CROSS"), *_OUTER})


_TOLD_APART = re.compile(r"\b(date_part|current_timestamp\s*\()", re.IGNORECASE)
"""What the parser takes for another thing: extract(), of another type, and CURRENT_TIMESTAMP without its precision."""


class NotSure(Exception):
    """The rewrite would not be certain to mean the same; the text says why. Never leaves agent.database."""


@dataclass(frozen=True, slots=True)
class ColumnShape(Value):
    """not_null holds for every row there can be. family names types whose = agrees with GROUP BY, "" for others.

    Families: "int" (2, 4 and 8 bytes together), "text" (text and varchar with a deterministic collation), "numeric",
    "uuid", "bool", "date", "timestamp", "timestamptz".
    """

    name: str
    not_null: bool
    family: str


@dataclass(frozen=True, slots=True)
class RelationShape(Value):
    """A table as far as rewrites rely on it. keys are sets of columns that are together unique and not null."""

    schema: str
    table: str
    columns: tuple[ColumnShape, ...]
    keys: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> ColumnShape | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(eq=False, slots=True)
class Source:
    """One table of a FROM. nullable: an outer join may fill it with NULLs."""

    alias: str
    node: exp.Table
    shape: RelationShape
    nullable: bool


@dataclass(eq=False, slots=True)
class Scope:
    select: exp.Select
    sources: dict[str, Source]
    parent: Scope | None


class Query:
    """A parsed SELECT with its columns resolved and qualified. Rules work on a copy of their own.

    Raises:
        NotSure: with the reason.
    """

    def __init__(self, text: str, relations: Sequence[RelationShape]) -> None:
        self.tree = _parsed(text)
        self._relations = relations
        self._scopes: dict[int, Scope] = {}
        self._of_column: dict[int, Source] = {}
        for select in self.tree.find_all(exp.Select):  # breadth first, so parents come before their subqueries
            self._scopes[id(select)] = self._scope(select)
        for column in self.tree.find_all(exp.Column):
            self._resolve(column)

    @property
    def printed(self) -> str:
        return printed(self.tree)

    @property
    def outer(self) -> Scope:
        return self._scopes[id(self.tree)]

    def scope(self, select: exp.Select) -> Scope:
        return self._scopes[id(select)]

    def source(self, column: exp.Column) -> Source | None:
        """Where the column comes from; None for the name of an output column in ORDER BY."""
        return self._of_column.get(id(column))

    def shape(self, column: exp.Column) -> ColumnShape:
        """Raises NotSure for what is no plain column of a table."""
        source = self.source(column)
        found = source.shape.column(folded(column.this)) if source else None
        if found is None:
            raise NotSure("a column that no table has")
        return found

    def belongs(self, node: exp.Expr, scope: Scope) -> bool:
        """Whether every column in node comes from the scope's own FROM, and there is no subquery in it."""
        if node.find(exp.Select):
            return False
        own = {id(source) for source in scope.sources.values()}
        return all((source := self.source(column)) and id(source) in own for column in columns_of(node))

    def rename(self, source: Source, alias: str) -> None:
        """Gives a table another alias, in its FROM and in every column that names it."""
        source.node.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        for column in self.tree.find_all(exp.Column):
            if self.source(column) is source:
                column.set("table", exp.to_identifier(alias))
        source.alias = alias

    def unused_name(self, stem: str) -> str:
        """The stem with the first number that makes a name which nothing in the query has."""
        taken = {folded(identifier) for identifier in self.tree.find_all(exp.Identifier)}
        return next(name for number in range(1, 10_000) if (name := f"{stem}_{number}") not in taken)

    def _scope(self, select: exp.Select) -> Scope:
        above = select.parent_select
        parent = self._scopes[id(above)] if isinstance(above, exp.Select) else None
        sources: dict[str, Source] = {}
        begin = select.args.get("from_")
        if begin is None:
            raise NotSure("a SELECT without FROM")
        self._add(begin.this, sources, nullable=False)
        for join in select.args.get("joins") or ():
            side = _checked_join(join)
            if side in {"RIGHT", "FULL"}:
                for source in sources.values():
                    source.nullable = True
            self._add(join.this, sources, nullable=side in {"LEFT", "FULL"})
        return Scope(select, sources, parent)

    def _add(self, node: exp.Expr, sources: dict[str, Source], *, nullable: bool) -> None:
        if not isinstance(node, exp.Table) or _given(node) - _TABLE_PARTS:
            raise NotSure("something other than a plain table in FROM")
        alias_node = node.args.get("alias")
        if alias_node is not None and alias_node.args.get("columns"):
            raise NotSure("a table whose columns are renamed")
        alias = folded(alias_node.this if alias_node is not None else node.this)
        if not alias or alias in sources:
            raise NotSure("two tables of one name in a FROM")
        sources[alias] = Source(alias, node, self._relation(node), nullable)

    def _relation(self, node: exp.Table) -> RelationShape:
        schema, table = folded(node.args.get("db")), folded(node.this)
        fitting = [shape for shape in self._relations if shape.table == table and schema in {"", shape.schema}]
        if len(fitting) != 1:
            raise NotSure(f"it is open what {table or 'a name'} in FROM is")
        return fitting[0]

    def _resolve(self, column: exp.Column) -> None:
        if column.args.get("db") or column.args.get("catalog"):
            raise NotSure("a column with its schema")
        select = column.parent_select
        if not isinstance(select, exp.Select):
            raise NotSure("a column outside every SELECT")
        scope: Scope | None = self._scopes[id(select)]
        if isinstance(column.this, exp.Star):
            alias = folded(column.args["table"])
            if scope is None or alias not in scope.sources:
                raise NotSure("a star of a table that is not in FROM")
            self._of_column[id(column)] = scope.sources[alias]
            return
        if isinstance(column.parent, exp.Ordered) and not column.table and folded(column.this) in output_names(select):
            return  # ORDER BY takes a bare name for an output column first
        while scope is not None:
            source = _source(scope, column)
            if source is not None:
                self._of_column[id(column)] = source
                column.set("table", _alias_identifier(source.node))
                return
            scope = scope.parent
        raise NotSure(f"it is open which table the column {folded(column.this)} is from")


def parse_query(text: str) -> exp.Query:
    """One SELECT, or a UNION of them. Raises NotSure for any other text."""
    depths = itertools.accumulate((character in "([") - (character in ")]") for character in text)
    if len(text) > MAX_QUERY_CHARS or max(depths, default=0) > MAX_NESTING:
        raise NotSure("the text is too long or nested too deeply")
    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except (SqlglotError, RecursionError, ValueError):
        raise NotSure("the text could not be parsed") from None
    if len(trees) != 1 or not isinstance(tree := trees[0], exp.Query):
        raise NotSure("only one plain SELECT is rewritten")
    return tree


def printed(tree: exp.Expr) -> str:
    """PostgreSQL's text of a tree.

    Raises:
        NotSure: the text does not parse to the same tree, so one of the two readings is wrong.
    """
    text = tree.sql(dialect="postgres", comments=False)
    if len(text) > MAX_QUERY_CHARS:
        raise NotSure("the text grows too long")
    again = sqlglot.parse_one(text, dialect="postgres")
    if again.sql(dialect="postgres", comments=False) != text:
        raise NotSure("the text does not come back the same from the parser")
    return text


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """The parts that AND joins, without brackets round a part; none for no condition."""
    return _parts(condition, exp.And)


def disjuncts(condition: exp.Expr) -> list[exp.Expr]:
    return _parts(condition, exp.Or)


def together(parts: Sequence[exp.Expr]) -> exp.Expr | None:
    """Parts joined by AND, each in brackets where it needs them; None for none."""
    wrapped = [exp.Paren(this=part.copy()) if isinstance(part, exp.Or) else part.copy() for part in parts]
    if not wrapped:
        return None
    joined = wrapped[0]
    for part in wrapped[1:]:
        joined = exp.And(this=joined, expression=part)
    return joined


def set_where(select: exp.Select, parts: Sequence[exp.Expr]) -> None:
    condition = together(parts)
    select.set("where", exp.Where(this=condition) if condition is not None else None)


def where_of(select: exp.Select) -> list[exp.Expr]:
    where = select.args.get("where")
    return conjuncts(where.this if where is not None else None)


def is_comma(join: exp.Join) -> bool:
    """`FROM a, b`: a join that says nothing."""
    return not (_given(join) - {"this"})


def inner_only(select: exp.Select) -> bool:
    return all(not join.side for join in select.args.get("joins") or ())


def has(select: exp.Select, *parts: str) -> bool:
    return any(select.args.get(part) for part in parts)


def columns_of(node: exp.Expr) -> Iterator[exp.Column]:
    """Every column in a node, itself included."""
    yield from node.find_all(exp.Column)


def output_names(select: exp.Select) -> list[str]:
    """The names of the output columns as far as the text gives them; "" for a star or an expression."""
    names = []
    for output in select.expressions:
        match output:
            case exp.Alias():
                names.append(folded(output.args["alias"]))
            case exp.Column() if not isinstance(output.this, exp.Star):
                names.append(folded(output.this))
            case _:
                names.append("")
    return names


def _parsed(text: str) -> exp.Select:
    tree = parse_query(text)
    if not isinstance(tree, exp.Select):
        raise NotSure("only a plain SELECT is rewritten")
    if _TOLD_APART.search(text):
        raise NotSure("a call that does not come back the same from the parser")
    for node in tree.walk():
        _check_literal(node)
        if type(node) not in _KNOWN:
            raise NotSure(f"it has something not known to be safe to move: {type(node).__name__}")
        if isinstance(node, exp.Select) and _given(node) - _SELECT_PARTS - _PAGING_PARTS:
            raise NotSure("a clause beyond SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT")
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            raise NotSure("DISTINCT ON picks rows by order")
    printed(tree)
    return tree


def _check_literal(node: exp.Expr) -> None:
    """`@ a` is read as a parameter, and `interval '1.5' day`, which drops the half, like `interval '1.5 day'`."""
    if isinstance(node, exp.Parameter) and not node.name.isdigit():
        raise NotSure("an operator that is read as a parameter")
    if isinstance(node, exp.Interval) and node.args.get("unit") and not node.this.name.isdigit():
        raise NotSure("an interval of a fraction")


def _checked_join(join: exp.Join) -> str:
    """The side of a join whose condition is ON or nothing."""
    if _given(join) - _JOIN_PARTS or (join.side, join.kind) not in _JOIN_KINDS:
        raise NotSure("a join other than by ON")
    return str(join.side)


def _source(scope: Scope, column: exp.Column) -> Source | None:
    name = folded(column.this)
    if column.table:
        source = scope.sources.get(folded(column.args["table"]))
        if source is not None and source.shape.column(name) is None:
            raise NotSure(f"the table {source.shape.table} has no plain column {name}")
        return source
    having = [source for source in scope.sources.values() if source.shape.column(name)]
    if len(having) > 1:
        raise NotSure(f"the column {name} is in two tables")
    if not having and name in scope.sources:
        raise NotSure("a whole row as a value")
    return having[0] if having else None


def _alias_identifier(node: exp.Table) -> exp.Expr:
    alias = node.args.get("alias")
    identifier: exp.Expr = (alias.this if alias is not None else node.this).copy()
    return identifier


def _given(node: exp.Expr) -> set[str]:
    return {name for name, value in node.args.items() if value}


def _parts(condition: exp.Expr | None, kind: type[exp.Expr]) -> list[exp.Expr]:
    if condition is None:
        return []
    found: list[exp.Expr] = []
    waiting = [condition]
    while waiting:
        node = waiting.pop(0).unnest()
        if isinstance(node, kind):
            waiting[:0] = [node.this, node.expression]
        else:
            found.append(node)
    return found
