"""Which columns an index should have for one statement: equality first, then a range or the order asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from agent.database.advisor.choice import LATENCY_FLOOR, SIZE_EXPONENT
from agent.database.advisor.estimate import (
    CPU_INDEX_TUPLE_COST,
    CPU_TUPLE_COST,
    PAGE_BYTES,
    RANDOM_PAGE_COST,
)
from agent.database.advisor.statement import folded as folded  # noqa: PLC0414 read from here by the rewrites
from agent.database.advisor.statement import tables
from guardrails.sql.lex import Unreadable
from guardrails.sql.parse import one_statement
from guardrails.sql.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.database.snapshot import Plan, SequentialScan, TableFacts

MAX_CANDIDATES = 3
MAX_EQUALITY_COLUMNS = 3
"""A fourth equality column hardly narrows what three left, and every write pays for it."""
MAX_QUERY_CHARS = 50_000
MAX_NESTING = 200
"""Texts beyond these are not parsed."""

DEFAULT_RANGE_SELECTIVITY = 1 / 3
"""DEFAULT_INEQ_SEL (src/include/utils/selfuncs.h)."""
DEFAULT_DISTINCT = 200
"""DEFAULT_NUM_DISTINCT (src/include/utils/selfuncs.h)."""
_INDEX_TUPLE_OVERHEAD_BYTES = 8 + 4  # IndexTupleData and its line pointer
_BTREE_FILL = 0.9  # BTREE_DEFAULT_FILLFACTOR


@dataclass(frozen=True, slots=True)
class Candidate:
    """Columns of a btree index on one table; the first equality_columns of them are compared with =."""

    schema: str
    table: str
    columns: tuple[str, ...]
    equality_columns: int


@dataclass(slots=True)
class _Wanted:
    """What a statement asks of one table's columns."""

    equality: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)  # = ANY, IN: several values, so no order behind them
    joined: list[str] = field(default_factory=list)
    ranged: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    limited: bool = False


def candidates(query: str, plan: Plan | None, table: TableFacts) -> tuple[Candidate, ...]:
    """At most three sets of columns worth trying, best first; empty when no plain column can help.

    plan None: the statement could not be planned, and its text alone is read.
    """
    wanted = _Wanted()
    parsed = _parsed(query)
    if parsed is not None:
        _from_text(parsed, table, wanted)
    scans = [scan for scan in plan.sequential_scans() if scan.table == table.table] if plan else []
    filtered = _Wanted()
    for scan in scans:
        _from_filter(scan, table, filtered)
    return _assembled(wanted, filtered, table)


def existing_index(candidate: Candidate, table: TableFacts) -> str | None:
    """The name of a valid, complete index that already serves the candidate; None when there is none."""
    wanted = list(candidate.columns)
    equality = candidate.equality_columns
    for index in table.indexes:
        usable = index.valid and index.ready and not index.partial and index.method == "btree"
        have = list(index.columns[: len(wanted)])
        if usable and set(have[:equality]) == set(wanted[:equality]) and have[equality:] == wanted[equality:]:
            return index.name
    return None


def estimated_cost(plan: Plan, candidate: Candidate, table: TableFacts) -> float | None:
    """The plan's cost with an index scan in place of the dearest sequential scan, by the planner's own formulas.

    A rough figure where no what-if is to be had: page fetches are one for each row (no correlation, no cache). None
    when the plan has no such scan or the table was never analysed.
    """
    scan = next((scan for scan in plan.sequential_scans() if scan.table == table.table), None)
    if scan is None or not table.rows:
        return None
    matching = max(1.0, _matching_rows(scan, candidate, table))
    fetched_pages = min(matching, max(1.0, table.bytes / PAGE_BYTES))
    index_scan = fetched_pages * RANDOM_PAGE_COST + matching * (CPU_TUPLE_COST + CPU_INDEX_TUPLE_COST)
    # Below a LIMIT a scan is not paid in full; the index scan is taken to be cut short alike.
    paid_share = min(1.0, plan.total_cost / scan.cost) if scan.cost else 1.0
    return max(0.0, plan.total_cost - (scan.cost - index_scan) * paid_share)


def estimated_bytes(candidate: Candidate, table: TableFacts) -> int | None:
    """Size of a fresh btree. None when the table was never analysed or a column's width is not visible."""
    widths = [column.avg_width_bytes if (column := table.column(name)) else None for name in candidate.columns]
    if table.rows is None or any(width is None for width in widths):
        return None
    data = sum(width for width in widths if width is not None)
    aligned = -(-data // 8) * 8
    return int(table.rows * (aligned + _INDEX_TUPLE_OVERHEAD_BYTES) / _BTREE_FILL)


def burden(cost: float, size_bytes: int | None) -> float:
    """What an index weighs, as a logarithm: the plan's cost with it against the room it takes; the least is best.

    None: the size is not known, so the cost alone tells. The weights are the advisor's.
    """
    room = SIZE_EXPONENT * math.log(max(size_bytes, 1)) if size_bytes is not None else 0.0
    return math.log(max(cost, 0.0) + LATENCY_FLOOR) + room


def distinct_values(name: str, table: TableFacts) -> float:
    """How many values a column holds by the statistics; PostgreSQL's own default where there are none."""
    column = table.column(name)
    if column is None or column.n_distinct is None or not table.rows:
        return DEFAULT_DISTINCT
    return max(1.0, -column.n_distinct * table.rows if column.n_distinct < 0 else column.n_distinct)


def tables_named(query: str) -> tuple[tuple[str | None, str], ...]:
    """(schema or None, table) of every table a statement names, each once; empty when it cannot be parsed."""
    parsed = _parsed(query)
    return () if parsed is None else tables(parsed)


def _parsed(text: str) -> exp.Expr | None:
    """Under the guard's caps, which come before the parser: pg_stat_statements holds what any client sent."""
    try:
        return tree(one_statement(text)) if len(text) <= MAX_QUERY_CHARS else None
    except Unreadable:
        return None


def _from_text(parsed: exp.Expr, table: TableFacts, wanted: _Wanted) -> None:
    for scope in parsed.find_all(exp.Select, exp.Update, exp.Delete):
        aliases = {
            folded(source.args.get("alias") and source.args["alias"].this) or folded(source.this)
            for source in scope.find_all(exp.Table)
            if folded(source.this) == table.table
            and folded(source.args.get("db")) in {"", table.schema}
            and _scope_of(source) is scope
        }
        if not aliases:
            continue
        if where := scope.args.get("where"):
            _collect(_conjuncts(where.this), aliases, table, wanted)
        for join in scope.args.get("joins") or ():
            if on := join.args.get("on"):
                _collect(_conjuncts(on), aliases, table, wanted)
        _order(scope, aliases, table, wanted)


def _scope_of(node: exp.Expr) -> exp.Expr | None:
    return node.find_ancestor(exp.Select, exp.Update, exp.Delete)


def _from_filter(scan: SequentialScan, table: TableFacts, wanted: _Wanted) -> None:
    condition = _parsed(f"SELECT 1 WHERE {scan.filter}") if scan.filter else None
    where = condition.args.get("where") if condition is not None else None
    if where is not None:
        _collect(_conjuncts(where.this), {scan.alias}, table, wanted, planned=True)


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    waiting = [condition]
    while waiting:
        node = waiting.pop(0).unnest()
        if isinstance(node, exp.And):
            waiting[:0] = [node.left, node.right]
        else:
            yield node


def _collect(
    conditions: Iterable[exp.Expr],
    aliases: set[str],
    table: TableFacts,
    wanted: _Wanted,
    *,
    planned: bool = False,
) -> None:
    for condition in conditions:
        match condition:
            case exp.EQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                _compared(condition, aliases, table, wanted, planned=planned)
            case exp.Between():
                _note(wanted.ranged, _column(condition.this, aliases, table, planned=planned))
            case exp.In():
                _note(wanted.listed, _column(condition.this, aliases, table, planned=planned))
            case exp.Is() if not isinstance(condition.expression, exp.Not):
                _note(wanted.equality, _column(condition.this, aliases, table, planned=planned))
            case exp.Or():
                _note(wanted.listed, _same_column(condition, aliases, table, planned=planned))
            case _:
                continue


def _compared(condition: exp.Expr, aliases: set[str], table: TableFacts, wanted: _Wanted, *, planned: bool) -> None:
    left, right = condition.this, condition.expression
    name = _column(left, aliases, table, planned=planned)
    other = right
    if name is None:
        name, other = _column(right, aliases, table, planned=planned), left
    if name is None:
        return
    if not isinstance(condition, exp.EQ):
        _note(wanted.ranged, name)
    elif other.find(exp.Any) or isinstance(other, exp.Any):
        _note(wanted.listed, name)
    elif any(True for _ in other.find_all(exp.Column)) and not other.find(exp.Subquery):
        _note(wanted.joined, name)
    else:
        _note(wanted.equality, name)


def _same_column(condition: exp.Or, aliases: set[str], table: TableFacts, *, planned: bool) -> str | None:
    """`a = 1 OR a = 2` is a list of values for a; anything else under an OR needs more than one index."""
    names: set[str | None] = set()
    for branch in condition.flatten():
        node = branch.unnest()
        names.add(_column(node.this, aliases, table, planned=planned) if isinstance(node, exp.EQ | exp.In) else None)
    return names.pop() if len(names) == 1 else None


def _column(node: exp.Expr, aliases: set[str], table: TableFacts, *, planned: bool) -> str | None:
    """The table's column that a side of a comparison is; None for expressions, which a plain index does not serve.

    PostgreSQL prints its implicit varchar-to-text casts in plans; a cast written in the query is an expression.
    """
    node = node.unnest()
    if planned and isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.TEXT:
        node = node.this.unnest()
    if not isinstance(node, exp.Column) or (node.table and folded(node.args["table"]) not in aliases):
        return None
    name = folded(node.this)
    return name if table.column(name) else None


def _order(scope: exp.Expr, aliases: set[str], table: TableFacts, wanted: _Wanted) -> None:
    order = scope.args.get("order")
    if order is None or scope.args.get("group") is not None:
        return
    names: list[str] = []
    directions: set[bool] = set()
    for part in order.expressions:
        name = _column(part.this, aliases, table, planned=False)
        if name is None:
            return
        names.append(name)
        directions.add(bool(part.args.get("desc")))
    # A plain btree is read forwards or backwards, so only one direction for all of it.
    if len(directions) == 1:
        wanted.order = wanted.order or names
        wanted.limited = wanted.limited or scope.args.get("limit") is not None


def _note(names: list[str], name: str | None) -> None:
    if name is not None and name not in names:
        names.append(name)


def _assembled(wanted: _Wanted, filtered: _Wanted, table: TableFacts) -> tuple[Candidate, ...]:
    """What the plan filters on goes first: the planner has resolved names and dropped what is always true."""

    def both(first: list[str], second: list[str]) -> list[str]:
        return sorted(dict.fromkeys([*first, *second]), key=lambda name: -distinct_values(name, table))

    equality = both(filtered.equality, wanted.equality)
    listed = [name for name in both(filtered.listed, wanted.listed) if name not in equality]
    joined = [name for name in both(wanted.joined, filtered.joined) if name not in equality]
    ranged = [name for name in both(filtered.ranged, wanted.ranged) if name not in {*equality, *listed}][:1]
    order = [name for name in wanted.order if name not in equality]
    leading = [*equality, *listed][:MAX_EQUALITY_COLUMNS]
    sets: list[tuple[list[str], list[str]]] = []
    if order and wanted.limited and not listed:
        sets.append((leading, order))
    if leading or ranged:
        sets.append((leading, ranged))
    if joined:
        sets.append(([*joined[:1], *leading][:MAX_EQUALITY_COLUMNS], []))
    if leading:
        sets.append((leading, []))
        sets.append((leading[:1], []))
    unique = dict.fromkeys(
        ((*first, *(name for name in then if name not in first)), len(first)) for first, then in sets
    )
    return tuple(
        Candidate(table.schema, table.table, columns, equality_count)
        for columns, equality_count in list(unique)[:MAX_CANDIDATES]
    )


def _matching_rows(scan: SequentialScan, candidate: Candidate, table: TableFacts) -> float:
    """Rows the index hands over: the planner's figure cannot be undercut, since it knows every condition."""
    rows = float(table.rows or 0)
    for position, name in enumerate(candidate.columns):
        if position < candidate.equality_columns:
            rows /= distinct_values(name, table)
        else:
            rows *= DEFAULT_RANGE_SELECTIVITY
    return max(rows, scan.rows)
