"""Reads a statement's tree: every comparison, order and group, tied to the table whose index could serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.advisor import selectivity
from agent.database.advisor.demand import Atom, Demands, Occurrence, Operand, Order, OrderKey
from agent.database.advisor.expression import NotIndexable, rendered
from agent.database.advisor.names import Derived, Scope, base_columns, looked_up, made_of
from agent.database.advisor.statement import Statement, folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.demand import Kind

_RANGES = (exp.GT, exp.GTE, exp.LT, exp.LTE)
_GIN: Mapping[type[exp.Expr], Kind] = {
    exp.ArrayContainsAll: "contains",
    exp.ArrayContainedBy: "contains",
    exp.ArrayOverlaps: "overlaps",
    exp.JSONBContainsTopKey: "keys",
    exp.JSONBContainsAnyTopKeys: "keys",
    exp.JSONBContainsAllTopKeys: "keys",
    exp.JSONBPathExists: "contains",
}
_QUERIES: tuple[type, ...] = (exp.Query,)
_MAX_DEPTH = 20


def demands(statement: Statement, tables: Mapping[tuple[str | None, str], TableProfile]) -> Demands:
    """Tables by (schema or None, name) as the statement names them; others are passed over."""
    reader = _Reader(tables, exact=statement.exact)
    reader.query(statement.tree, None, {})
    _spread_constants(reader.demands)
    return reader.demands


class _Reader:
    """One walk over one statement."""

    def __init__(self, tables: Mapping[tuple[str | None, str], TableProfile], *, exact: bool) -> None:
        self._tables = tables
        self._exact = exact
        self._seen: dict[int, Derived] = {}
        self._followed: dict[tuple[int, int], list[Operand]] = {}
        self.demands = Demands()

    def query(self, node: exp.Expr, outer: Scope | None, ctes: Mapping[str, Derived]) -> Derived:
        """Reads a query and everything in it once; what its columns are made of."""
        if id(node) in self._seen:
            return self._seen[id(node)]
        known = dict(ctes)
        for cte in node.args["with_"].expressions if node.args.get("with_") else ():
            names = [folded(column) for column in cte.args["alias"].columns]
            known[folded(cte.args["alias"].this)] = self.query(cte.this, outer, known).renamed(names)
        match node:
            case exp.Select():
                derived = self._select(node, outer, known)
            case exp.SetOperation():
                derived = self.query(node.left, outer, known).merged(self.query(node.right, outer, known))
            case exp.Subquery():
                derived = self.query(node.this, outer, known)
            case _:
                derived = Derived()
        self._seen[id(node)] = derived
        return derived

    def _select(self, select: exp.Select, outer: Scope | None, ctes: Mapping[str, Derived]) -> Derived:
        scope = Scope(outer)
        joins = self._sources(select, scope, ctes)
        for projection in select.expressions:
            if isinstance(projection, exp.Alias):
                scope.outputs[folded(projection.args["alias"])] = projection.this
        for node in _own_nodes(select):
            if isinstance(node, exp.Query) and node is not select:
                self.query(node, scope, ctes)
        self._columns_read(select, scope)
        for join in joins:
            self._joined(join, scope)
        if (where := select.args.get("where")) is not None:
            self._conditions(where.this, scope)
        self._orders(select, scope)
        return self._derived(select, scope)

    # -- sources

    def _sources(self, select: exp.Select, scope: Scope, ctes: Mapping[str, Derived]) -> list[exp.Join]:
        joins: list[exp.Join] = []
        first = select.args.get("from_")
        if first is not None:
            joins += self._source(first.this, scope, ctes)
        for join in [*(select.args.get("joins") or ()), *(select.args.get("laterals") or ())]:
            if isinstance(join, exp.Join):
                joins += [*self._source(join.this, scope, ctes), join]
            else:
                self._source(join, scope, ctes)
        return joins

    def _source(self, node: exp.Expr, scope: Scope, ctes: Mapping[str, Derived]) -> list[exp.Join]:
        """Adds one FROM item to the scope; the joins written inside it come back."""
        alias = node.args.get("alias")
        name = folded(alias.this) if isinstance(alias, exp.TableAlias) else ""
        renamed = [folded(column) for column in alias.columns] if isinstance(alias, exp.TableAlias) else []
        match node:
            case exp.Table() if isinstance(node.this, exp.Identifier):
                self._table(node, name, renamed, scope, ctes)
            case exp.Lateral():
                scope.sources[name] = self.query(node.this, scope, ctes).renamed(renamed)
            case exp.Subquery() if isinstance(node.this, exp.Query):
                scope.sources[name] = self.query(node.this, scope, ctes).renamed(renamed)
            case exp.Paren() | exp.Subquery():
                return [*self._source(node.this, scope, ctes), *self._inner_joins(node, scope, ctes)]
            case _:
                if name:
                    scope.sources[name] = Derived([(column, []) for column in renamed])
        return self._inner_joins(node, scope, ctes)

    def _inner_joins(self, node: exp.Expr, scope: Scope, ctes: Mapping[str, Derived]) -> list[exp.Join]:
        joins: list[exp.Join] = []
        for join in node.args.get("joins") or ():
            joins += [*self._source(join.this, scope, ctes), join]
        return joins

    def _table(
        self, node: exp.Table, alias: str, renamed: list[str], scope: Scope, ctes: Mapping[str, Derived]
    ) -> None:
        schema, name = folded(node.args.get("db")) or None, folded(node.this)
        if schema is None and name in ctes:
            scope.sources[alias or name] = ctes[name].renamed(renamed)
            return
        table = self._tables.get((schema, name))
        if table is None or renamed:
            scope.sources[alias or name] = Derived([(column, []) for column in renamed])
            return
        occurrence = Occurrence(len(self.demands.occurrences), table)
        self.demands.occurrences.append(occurrence)
        self.demands.read[occurrence.number] = set()
        scope.sources[alias or name] = occurrence

    def _derived(self, select: exp.Select, scope: Scope) -> Derived:
        outputs: list[tuple[str, list[tuple[exp.Expr, Scope]]]] = []
        for projection in select.expressions:
            if isinstance(projection, exp.Star) or (
                isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star)
            ):
                outputs += _starred(projection, scope)
            elif isinstance(projection, exp.Alias):
                outputs.append((folded(projection.args["alias"]), [(projection.this, scope)]))
            else:
                name = folded(projection.this) if isinstance(projection, exp.Column) else ""
                outputs.append((name, [(projection, scope)]))
        return Derived(outputs)

    def _columns_read(self, select: exp.Select, scope: Scope) -> None:
        for node in _own_nodes(select):
            if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
                for occurrence, name in base_columns(node, scope):
                    self.demands.reads(occurrence.number, name)
        if isinstance(select.parent, exp.Exists):
            return
        for projection in select.expressions:
            star = isinstance(projection, exp.Star) or (
                isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star)
            )
            if star:
                wanted = folded(projection.args.get("table"))
                for alias, source in scope.sources.items():
                    if isinstance(source, Occurrence) and wanted in {"", alias}:
                        self.demands.read[source.number] = None

    # -- conditions

    def _joined(self, join: exp.Join, scope: Scope) -> None:
        if (on := join.args.get("on")) is not None:
            self._conditions(on, scope)
        names = [folded(name) for name in join.args.get("using") or ()]
        sources = list(scope.sources.values())
        if join.args.get("method") == "NATURAL" and sources:
            names = [
                column for column in _column_names(sources[-1]) if any(column in _column_names(s) for s in sources[:-1])
            ]
        for name in names:
            sides = [operand for source in sources for operand in self._named(source, name)]
            for side in sides:
                for other in sides:
                    if side.occurrence != other.occurrence:
                        self._add(self.demands.atoms, "join", side, other=other)

    def _named(self, source: Occurrence | Derived, name: str) -> list[Operand]:
        if isinstance(source, Occurrence):
            return self._column(source, name)
        return [operand for part, inner in source.named(name) or () for operand in self._operands(part, inner)]

    def _conditions(self, condition: exp.Expr, scope: Scope) -> None:
        for conjunct in _conjuncts(condition):
            if isinstance(conjunct, exp.Or):
                self._alternatives(conjunct, scope)
            else:
                self.demands.atoms += self._atoms(conjunct, scope)

    def _alternatives(self, condition: exp.Or, scope: Scope) -> None:
        branches = [
            [atom for part in _conjuncts(branch.unnest()) for atom in self._atoms(part, scope)]
            for branch in condition.flatten()
        ]
        shared = _shared(branches)
        self.demands.atoms += shared
        if all(len(branch) == 1 and branch[0].kind in {"equal", "list"} for branch in branches):
            operands = {branch[0].operand for branch in branches}
            if len(operands) == 1:
                total = min(1.0, sum(branch[0].selectivity for branch in branches))
                self.demands.atoms.append(Atom("list", operands.pop(), total))
                return
        self.demands.alternatives.append(branches)

    def _atoms(self, condition: exp.Expr, scope: Scope) -> list[Atom]:
        """What one conjunct asks for; empty when no index could be searched by it."""
        atoms: list[Atom] = []
        match condition:
            case exp.EQ():
                self._equal(condition, scope, atoms)
            case exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                self._compared(condition, scope, atoms)
            case exp.Between() if self._constant(condition.args["low"], scope):
                for operand in self._operands(condition.this, scope):
                    self._add(atoms, "range", operand, selectivity.BETWEEN)
            case exp.In():
                self._listed(condition, scope, atoms)
            case exp.Is():
                self._is(condition, scope, atoms)
            case exp.Column():
                self._flag(condition, scope, atoms, value=True)
            case exp.Not():
                self._negated(condition.this.unnest(), scope, atoms)
            case exp.NEQ() if not condition.this.find(exp.Subquery):
                self._filtered(condition, scope, atoms)
            case _:
                self._matched(condition, scope, atoms)
        return atoms

    def _equal(self, condition: exp.EQ, scope: Scope, atoms: list[Atom]) -> None:
        for left, right in ((condition.this, condition.expression), (condition.expression, condition.this)):
            if self._constant(left, scope) or isinstance(left, exp.Any):
                continue
            operands = self._operands(left, scope)
            if isinstance(right, exp.Any):
                self._any(right, operands, scope, atoms)
            elif self._constant(right, scope):
                for operand in operands:
                    share, predicate = self._valued(operand, right)
                    self._add(atoms, "equal", operand, share, predicate)
            else:
                self._looked_up_by(right, operands, scope, atoms)

    def _any(self, right: exp.Any, operands: list[Operand], scope: Scope, atoms: list[Atom]) -> None:
        inner = right.this.unnest() if isinstance(right.this, exp.Paren) else right.this
        if isinstance(inner, exp.Query):
            self._in_query(inner, operands, scope, atoms)
        elif self._constant(inner, scope):
            for operand in operands:
                self._add(atoms, "list", operand, selectivity.several(self._profile(operand), operand, 10))

    def _looked_up_by(self, right: exp.Expr, operands: list[Operand], scope: Scope, atoms: list[Atom]) -> None:
        others = self._operands(right, scope)
        for operand in operands:
            foreign = [other for other in others if other.occurrence != operand.occurrence]
            if foreign or not others:
                self._add(atoms, "join", operand, other=foreign[0] if foreign else None)

    def _compared(self, condition: exp.Expr, scope: Scope, atoms: list[Atom]) -> None:
        left, right = condition.this, condition.expression
        if isinstance(left.unnest(), exp.Tuple) or _is_row(left):
            left = (left.unnest().expressions or [left])[0]
            right = (right.unnest().expressions or [right])[0]
        for side, other in ((left, right), (right, left)):
            if self._constant(side, scope):
                continue
            for operand in self._operands(side, scope):
                if self._constant(other, scope) or all(
                    found.occurrence != operand.occurrence for found in self._operands(other, scope)
                ):
                    self._add(atoms, "range", operand, selectivity.RANGE)

    def _listed(self, condition: exp.In, scope: Scope, atoms: list[Atom]) -> None:
        operands = self._operands(condition.this, scope)
        query = condition.args.get("query")
        if query is not None:
            self._in_query(query, operands, scope, atoms)
            return
        values = condition.expressions
        if not values or not all(self._constant(value, scope) for value in values):
            return
        for operand in operands:
            known = [self._valued(operand, value) for value in values]
            written = ", ".join(value.sql(dialect="postgres") for value in values if isinstance(value, exp.Literal))
            predicate = f"{operand.sql} IN ({written})" if all(part for _, part in known) else ""
            self._add(atoms, "list", operand, min(1.0, sum(share for share, _ in known)), predicate)

    def _in_query(self, query: exp.Expr, operands: list[Operand], scope: Scope, atoms: list[Atom]) -> None:
        inner = self._seen.get(id(query)) or self.query(query, scope, {})
        made = inner.outputs[0][1] if inner.outputs else []
        others = [operand for part, home in made for operand in self._operands(part, home)]
        for operand in operands:
            self._add(atoms, "join", operand, other=others[0] if others else None)
        for other in others:
            if operands:
                self._add(self.demands.atoms, "join", other, other=operands[0])

    def _is(self, condition: exp.Is, scope: Scope, atoms: list[Atom]) -> None:
        negated = bool(condition.args.get("negate")) or isinstance(condition.expression, exp.Not)
        what = condition.expression.this if isinstance(condition.expression, exp.Not) else condition.expression
        if isinstance(what, exp.Boolean) and not negated:
            self._flag(condition.this, scope, atoms, value=bool(what.this))
        elif isinstance(what, exp.Null):
            for operand in self._operands(condition.this, scope):
                share = selectivity.null(self._profile(operand), operand, negated=negated)
                test = f"{operand.sql} IS {'NOT ' if negated else ''}NULL"
                self._add(atoms, "filter" if negated else "null", operand, share, test)

    def _flag(self, node: exp.Expr, scope: Scope, atoms: list[Atom], *, value: bool) -> None:
        for operand in self._operands(node, scope):
            if operand.type == "boolean":
                share = selectivity.equal(self._profile(operand), operand, "t" if value else "f")
                self._add(atoms, "equal", operand, share, operand.sql if value else f"NOT {operand.sql}")

    def _negated(self, inner: exp.Expr, scope: Scope, atoms: list[Atom]) -> None:
        if isinstance(inner, exp.Column):
            self._flag(inner, scope, atoms, value=False)
        elif isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            for operand in self._operands(inner.this, scope):
                share = selectivity.null(self._profile(operand), operand, negated=True)
                self._add(atoms, "filter", operand, share, f"{operand.sql} IS NOT NULL")

    def _filtered(self, condition: exp.Expr, scope: Scope, atoms: list[Atom]) -> None:
        """`<>` is searched by no index, but a partial index may leave the other rows out."""
        for operand in self._operands(condition.this, scope):
            share, predicate = self._valued(operand, condition.expression)
            if predicate and isinstance(condition.expression, exp.Literal):
                written = predicate.replace(" = ", " <> ", 1)
                self._add(atoms, "filter", operand, max(0.0, 1.0 - share), written)

    def _matched(self, condition: exp.Expr, scope: Scope, atoms: list[Atom]) -> None:
        match condition:
            case exp.Like() | exp.ILike() | exp.RegexpLike() | exp.RegexpILike() if not condition.args.get("negate"):
                pattern = condition.expression
                if not isinstance(pattern, exp.Literal) or not pattern.is_string:
                    self.demands.note("a pattern that is a parameter can use no index in a generic plan")
                    return
                kind, share = selectivity.pattern(pattern.name, condition)
                for operand in self._operands(condition.this, scope) if kind else ():
                    self._add(atoms, kind or "like", operand, share)
            case exp.MatchAgainst():
                for operand in self._operands(condition.expressions[0], scope):
                    if operand.type == "tsvector":
                        self._add(atoms, "match", operand, selectivity.MATCH)
            case _ if (gin := _GIN.get(type(condition))) is not None:
                if self._constant(condition.expression, scope):
                    for operand in self._operands(condition.this, scope):
                        self._add(atoms, gin, operand, selectivity.CONTAINS)

    # -- orders

    def _orders(self, select: exp.Select, scope: Scope) -> None:
        limited = select.args.get("limit") is not None
        grouped = select.args.get("group")
        distinct = select.args.get("distinct")
        order = select.args.get("order")
        if grouped is not None:
            self._order([(part, False, False) for part in grouped.expressions], select, scope, limited=False, free=True)
        elif distinct is not None and distinct.args.get("on") is None:
            self._order([(part, False, False) for part in select.expressions], select, scope, limited=False, free=True)
        if order is not None and (grouped is None or limited):
            self._order(_ordered(order), select, scope, limited=limited or distinct is not None)
        elif distinct is not None and distinct.args.get("on") is not None:
            keys = [(part, False, False) for part in distinct.args["on"].expressions]
            self._order(keys, select, scope, limited=True)
        for node in _own_nodes(select):
            if isinstance(node, exp.Window):
                keys = [(part, False, False) for part in node.args.get("partition_by") or ()]
                self._order([*keys, *_ordered(node.args.get("order"))], select, scope, limited=False)
            elif isinstance(node, exp.Min | exp.Max) and grouped is None:
                largest = isinstance(node, exp.Max)
                self._order([(node.this, largest, largest)], select, scope, limited=True)

    def _order(
        self,
        parts: Sequence[tuple[exp.Expr, bool, bool]],
        select: exp.Select,
        scope: Scope,
        *,
        limited: bool,
        free: bool = False,
    ) -> None:
        keys: list[OrderKey] = []
        for part, descending, nulls_first in parts:
            found = self._operands(_meant(part, select, scope), scope)
            if len(found) != 1 or (keys and found[0].occurrence != keys[0].operand.occurrence):
                break
            keys.append(OrderKey(found[0], descending, nulls_first))
        if keys:
            self.demands.orders.append(Order(tuple(keys), limited, free))

    # -- operands

    def _operands(self, node: exp.Expr, scope: Scope, depth: int = 0) -> list[Operand]:
        """The column or indexable expression of one table that this is; several below a UNION."""
        node = node.unnest()
        if depth > _MAX_DEPTH or isinstance(node, exp.Query | exp.Subquery):
            return []
        if isinstance(node, exp.Column):
            own = looked_up(node, scope)
            if own is not None and isinstance(own[0], Occurrence):
                return self._column(own[0], own[1])
            return self._derived_operands(node, scope, depth)
        return self._expression(node, scope)

    def _derived_operands(self, node: exp.Column, scope: Scope, depth: int) -> list[Operand]:
        """What a derived table's column is made of; each of its parts is followed once."""
        found: dict[Operand, None] = {}
        for part, home in made_of(node, scope):
            key = (id(part), id(home))
            if key not in self._followed:
                self._followed[key] = self._operands(part, home, depth + 1)
            found.update(dict.fromkeys(self._followed[key]))
        return list(found)

    def _column(self, occurrence: Occurrence, name: str) -> list[Operand]:
        column = occurrence.table.column(name)
        if column is None:
            return []
        sql, kind = rendered(_bare(name), lambda wanted: _type(occurrence.table, wanted))
        return [Operand(occurrence.number, sql, name, kind)]

    def _expression(self, node: exp.Expr, scope: Scope) -> list[Operand]:
        columns = list(node.find_all(exp.Column))
        if not columns or node.find(exp.Query) or not self._exact:
            return []
        homes = [base_columns(column, scope) for column in columns]
        if any(len(home) != 1 for home in homes) or len({home[0][0].number for home in homes}) != 1:
            return []
        occurrence = homes[0][0][0]
        copy = node.copy()
        for column, home in zip(list(copy.find_all(exp.Column)), homes, strict=True):
            column.replace(_bare(home[0][1]))
        try:
            sql, kind = rendered(copy, lambda wanted: _type(occurrence.table, wanted))
        except (NotIndexable, ValueError) as error:
            if node.find(exp.AggFunc) is None:
                self.demands.note(f"no index on an expression: {error}")
            return []
        return [Operand(occurrence.number, sql, None, kind)]

    def _constant(self, node: exp.Expr, scope: Scope) -> bool:
        """Whether it holds no column of this query's own sources: a value, a parameter, a subquery."""
        node = node.unnest()
        if isinstance(node, exp.Query | exp.Subquery):
            return True
        return not any(looked_up(column, scope) for column in node.find_all(exp.Column))

    def _valued(self, operand: Operand, value: exp.Expr) -> tuple[float, str]:
        """Selectivity of `operand = value`, and that as a predicate when the value is written out."""
        value = value.unnest()
        table = self._profile(operand)
        if isinstance(value, exp.Boolean):
            return selectivity.equal(table, operand, "t" if value.this else "f"), (
                operand.sql if value.this else f"NOT {operand.sql}"
            )
        if not isinstance(value, exp.Literal):
            return selectivity.equal(table, operand, None), ""
        share = selectivity.equal(table, operand, value.name)
        if not self._exact:
            return share, ""
        try:
            return share, f"{operand.sql} = {rendered(value, lambda _: None)[0]}"
        except (NotIndexable, ValueError):
            return share, ""

    def _profile(self, operand: Operand) -> TableProfile:
        return self.demands.occurrences[operand.occurrence].table

    def _add(
        self,
        atoms: list[Atom],
        kind: Kind,
        operand: Operand,
        share: float | None = None,
        predicate: str = "",
        other: Operand | None = None,
    ) -> None:
        found = selectivity.equal(self._profile(operand), operand, None) if share is None else share
        atom = Atom(kind, operand, found, predicate, other)
        if atom not in atoms:
            atoms.append(atom)


def _type(table: TableProfile, name: str) -> str | None:
    column = table.column(name)
    return column.type if column is not None else None


def _bare(name: str) -> exp.Column:
    return exp.Column(this=exp.Identifier(this=name, quoted=True))


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "row"


def _column_names(source: Occurrence | Derived) -> list[str]:
    if isinstance(source, Occurrence):
        return [column.name for column in source.table.columns]
    return [name for name, _ in source.outputs]


def _starred(star: exp.Expr, scope: Scope) -> list[tuple[str, list[tuple[exp.Expr, Scope]]]]:
    wanted = folded(star.args.get("table"))
    outputs: list[tuple[str, list[tuple[exp.Expr, Scope]]]] = []
    for alias, source in scope.sources.items():
        if wanted in {"", alias}:
            for name in _column_names(source):
                column = exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(alias, quoted=True))
                outputs.append((name, [(column, scope)]))
    return outputs


def _own_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """The nodes of a SELECT without those of queries inside it, of which only the root comes; sources are left out."""
    sources = {id(select.args.get("from_"))}
    waiting = [
        child for child in select.iter_expressions() if id(child) not in sources and not isinstance(child, exp.With)
    ]
    for join in select.args.get("joins") or ():
        waiting = [child for child in waiting if child is not join]
        if join.args.get("on") is not None:
            waiting.append(join.args["on"])
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _QUERIES):
            continue
        waiting.extend(node.iter_expressions())


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    waiting = [condition]
    while waiting:
        node = waiting.pop(0).unnest()
        if isinstance(node, exp.And):
            waiting[:0] = [node.left, node.right]
        else:
            yield node


def _shared(branches: list[list[Atom]]) -> list[Atom]:
    """What every branch of an OR asks for (TPC-H 19 repeats its join in each)."""
    if not branches:
        return []
    return [atom for atom in branches[0] if all(atom in branch for branch in branches[1:])]


def _ordered(order: exp.Expr | None) -> list[tuple[exp.Expr, bool, bool]]:
    if order is None:
        return []
    return [
        (part.this, bool(part.args.get("desc")), bool(part.args.get("nulls_first")))
        for part in order.expressions
        if isinstance(part, exp.Ordered)
    ]


def _meant(part: exp.Expr, select: exp.Select, scope: Scope) -> exp.Expr:
    """`ORDER BY 2` and `ORDER BY alias` mean an output of the SELECT."""
    if isinstance(part, exp.Literal) and not part.is_string and part.name.isdigit():
        position = int(part.name)
        if 1 <= position <= len(select.expressions):
            meant: exp.Expr = select.expressions[position - 1].unalias()
            return meant
    if isinstance(part, exp.Column) and not part.table and folded(part.this) in scope.outputs:
        return scope.outputs[folded(part.this)]
    return part.unalias()


def _spread_constants(demands: Demands) -> None:
    """A = b and b = 7 is a = 7 too, which the planner knows as well."""
    constants = {atom.operand: atom for atom in demands.atoms if atom.kind == "equal"}
    derived: Iterable[Atom] = [
        Atom("equal", atom.operand, atom.selectivity)
        for atom in demands.atoms
        if atom.kind == "join" and atom.other in constants and atom.operand not in constants
    ]
    demands.atoms += list(dict.fromkeys(derived))
