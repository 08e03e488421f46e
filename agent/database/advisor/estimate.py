"""Sizes and costs where no what-if is to be had: PostgreSQL's own formulas over the statistics, roughly.

Page fetches are one for each row (no correlation, no cache), so what is said here is on the cautious side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.database.advisor.demand import GIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.definition import Definition
    from agent.database.advisor.demand import Atom, Demands, Kind
    from agent.database.snapshot import Plan

RANDOM_PAGE_COST = 4.0
CPU_TUPLE_COST = 0.01
CPU_INDEX_TUPLE_COST = 0.005
CPU_OPERATOR_COST = 0.0025
PAGE_BYTES = 8192
"""PostgreSQL's defaults (src/include/optimizer/cost.h)."""
_DESCENT_COST = 0.5
_LEADER_SHARE_LOST = 0.3  # to each worker, by get_parallel_divisor (src/backend/optimizer/path/costsize.c)
_BY_INDEX = frozenset({"Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
_ORDERS = frozenset({"Sort", "Incremental Sort", "Gather", "Gather Merge", "Limit"})
_COUNTED: frozenset[Kind] = frozenset({"equal", "null", "filter"})
"""Comparisons whose share of the rows comes from common values and counts, not from a default."""
_GROUPS = frozenset({"Aggregate", "Group", "Unique", "WindowAgg"})
"""Nodes that read more rows than they hand on, so a LIMIT above says nothing of the rows below."""
_TUPLE_OVERHEAD_BYTES = 8 + 4  # IndexTupleData and its line pointer
_FILL = 0.9  # BTREE_DEFAULT_FILLFACTOR
_EXPRESSION_BYTES = 16
_POSTING_BYTES = 6  # a row's place in a posting list
_NEVER_EQUAL_IMAGE = frozenset({"numeric", "real", "double precision", "jsonb"})
_GIN_SHARE = {"jsonb": 0.5, "tsvector": 0.5, "text": 1.0, "character varying": 1.0}
"""Of the column's bytes, by measured indexes of this project's bench; arrays repeat few values and take less."""
_GIN_ARRAY_SHARE = 0.3


def size_bytes(definition: Definition, table: TableProfile, demands: Demands | None = None) -> int | None:
    """A fresh index's size. None when the table was never analysed or a column's width is not visible."""
    if table.rows is None:
        return None
    named = [*(key.column for key in definition.keys), *definition.include]
    if definition.method == "gin":
        return _gin_bytes(definition, table)
    widths = [_width(name, table) for name in named]
    if any(width is None for width in widths):
        return None
    rows = table.rows * _share_kept(definition, demands)
    entry = -(-sum(width or 0 for width in widths) // 8) * 8 + _TUPLE_OVERHEAD_BYTES
    plain = rows * entry
    if (distinct := _deduplicated(definition, table)) is not None:
        plain = min(plain, min(rows, distinct) * entry + rows * _POSTING_BYTES)
    return int(max(PAGE_BYTES, plain / _FILL))


def _deduplicated(definition: Definition, table: TableProfile) -> float | None:
    """Different keys of a btree that keeps equal ones once (13 and later); None where PostgreSQL does not do so.

    Source: the manual, "B-Tree Implementation", deduplication: no INCLUDE, no numeric, float, jsonb or container type.
    """
    distinct = 1.0
    for key in definition.keys:
        column = table.column(key.column) if key.column is not None else None
        if column is None or column.type in _NEVER_EQUAL_IMAGE or column.type.endswith("[]"):
            return None
        distinct *= table.distinct(column.name)
    return None if definition.include else distinct


def _width(name: str | None, table: TableProfile) -> int | None:
    if name is None:
        return _EXPRESSION_BYTES
    column = table.column(name)
    return column.width_bytes if column is not None else None


def _gin_bytes(definition: Definition, table: TableProfile) -> int | None:
    key = definition.keys[0]
    column = table.column(key.column) if key.column is not None else None
    if column is None:
        widest = max((found.width_bytes or 0 for found in table.columns), default=0)
        return int((table.rows or 0) * widest * _GIN_SHARE["tsvector"]) or None
    if column.width_bytes is None:
        return None
    share = _GIN_ARRAY_SHARE if column.type.endswith("[]") else _GIN_SHARE.get(column.type, 0.5)
    return int((table.rows or 0) * column.width_bytes * share)


def _share_kept(definition: Definition, demands: Demands | None) -> float:
    """Of the rows, by a partial index's predicate."""
    if not definition.where or demands is None:
        return 1.0
    return min((a.selectivity for a in demands.atoms if a.predicate == definition.where), default=1.0)


def cost(plan: Plan, definition: Definition, table: TableProfile, demands: Demands) -> float | None:
    """The plan's cost with the index in place of the dearest scan it could replace; None when there is none."""
    found = [
        max(_DESCENT_COST, plan.total_cost - saved)
        for scan in _replaceable(plan.root, definition, table)
        if (saved := _saved(scan, definition, table, demands)) > 0
    ]
    if not found:
        return None
    if table.leaves:  # one scan a leaf, and every leaf gets its index
        return max(_DESCENT_COST, plan.total_cost - sum(plan.total_cost - after for after in found))
    return min(found)


@dataclass(frozen=True, slots=True)
class _Scan:
    """A scan that another index could replace.

    rows pass its filter. paid_share is how much of its cost the plan pays: a LIMIT above pays for the first rows only.
    paid_sorted is what the plan pays for it and for the sorts and the LIMIT right above. outer_rows are on the other
    side of its join, early_rows wanted by a LIMIT; both None without one. row_cost is of the subqueries its filter runs
    for each row. by_index: an index is walked there already, whose order the nodes above may live on.
    """

    rows: float
    cost: float
    paid_share: float
    paid_sorted: float
    outer_rows: float | None
    early_rows: float | None
    row_cost: float
    by_index: bool

    @property
    def paid(self) -> float:
        return self.cost * self.paid_share


def _saved(scan: _Scan, definition: Definition, table: TableProfile, demands: Demands) -> float:
    """Cost the plan is spared by the index; 0 or less when it serves nothing or is no cheaper."""
    matched, joined, ordered = _matched(definition, demands)
    rows = (table.rows or 0.0) / max(1, len(table.leaves))
    share = _share_kept(definition, demands)
    for atom in matched:
        share *= atom.selectivity
    found = max(1.0, rows * share)
    if joined:
        if scan.outer_rows is None:
            return 0.0
        return scan.paid - scan.outer_rows * (_DESCENT_COST + _fetched(found, table))
    if ordered and scan.early_rows is not None:
        # Rows that pass the other conditions are taken to lie evenly, as the planner takes them.
        visited = min(found, scan.early_rows * max(1.0, found / max(1.0, scan.rows)))
        return scan.paid_sorted - _fetched(visited, table) - visited * scan.row_cost
    if not matched and not definition.where:
        return 0.0
    others = _others_share(matched, demands)
    kept = found if others is None else min(rows, max(1.0, scan.rows / max(others, 1e-9)))
    return scan.paid - _fetched_unordered(scan, kept, table, demands, matched)


def _fetched_unordered(
    scan: _Scan, rows: float, table: TableProfile, demands: Demands, matched: Sequence[Atom]
) -> float:
    """All the rows, and sorted where the replaced scan gave them in order; without an order a LIMIT cuts them alike."""
    here = {atom.operand.occurrence for atom in matched}
    wants_order = not here or any(order.occurrence in here for order in demands.orders)
    whole = _fetched(rows, table) + rows * scan.row_cost + (_sorted(rows) if scan.by_index else 0.0)
    return whole if scan.by_index and wants_order else whole * scan.paid_share


def _sorted(rows: float) -> float:
    """cost_tuplesort (src/backend/optimizer/path/costsize.c), in memory."""
    return 2 * CPU_OPERATOR_COST * rows * math.log2(max(2.0, rows))


def _others_share(matched: Sequence[Atom], demands: Demands) -> float | None:
    """Of the rows the index finds, how many pass the scan's other conditions; None when statistics do not say.

    Where they do, the planner's row count, which knows histograms, tells what the index finds better than we can.
    """
    if not matched:
        return None
    others = [atom for atom in demands.of(matched[0].operand.occurrence) if atom not in matched]
    counted = all(atom.kind in _COUNTED and atom.operand.column is not None for atom in others)
    if others and (not counted or demands.alternatives or demands.notes):
        return None
    return math.prod(atom.selectivity for atom in others)


def _fetched(rows: float, table: TableProfile) -> float:
    pages = min(rows, max(1.0, table.bytes / PAGE_BYTES))
    return _DESCENT_COST + pages * RANDOM_PAGE_COST + rows * (CPU_TUPLE_COST + CPU_INDEX_TUPLE_COST)


def _matched(definition: Definition, demands: Demands) -> tuple[list[Atom], bool, bool]:
    """The comparisons that the index's leading keys serve, whether one joins, and whether the rest gives an order."""
    mine = [atom for atom in demands.atoms if _table_of(demands, atom) == (definition.schema, definition.table)]
    found: list[Atom] = []
    position = 0
    for position, key in enumerate(definition.keys):  # noqa: B007 read after the loop
        kinds = GIN if definition.method == "gin" else {"equal", "null", "list", "join"}
        here = next((atom for atom in mine if atom.operand.sql == key.sql and atom.kind in kinds), None)
        if here is None:
            last = next((a for a in mine if a.operand.sql == key.sql and a.kind in {"range", "prefix"}), None)
            found += [last] if last is not None and definition.method == "btree" else []
            break
        found.append(here)
    else:
        position += 1
    rest = [key.sql for key in definition.keys[position:]]
    ordered = bool(rest) and any(
        [key.operand.sql for key in order.keys][: len(rest)] == rest and order.limited for order in demands.orders
    )
    ordered = ordered and not any(atom.kind == "list" for atom in found)  # each value has an order of its own
    return found, any(atom.kind == "join" for atom in found), ordered


def _table_of(demands: Demands, atom: Atom) -> tuple[str, str]:
    table = demands.occurrences[atom.operand.occurrence].table
    return table.schema, table.table


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands in its plan, by what is above it; see _Scan."""

    paid_share: float = 1.0
    paid_sorted: float | None = None
    outer_rows: float | None = None
    early_rows: float | None = None
    repeated: bool = False
    processes: float = 1.0

    def paid_sorted_at(self, cost: float) -> float:
        """For a node of this cost."""
        return cost * self.paid_share if self.paid_sorted is None else self.paid_sorted


def _replaceable(root: Mapping[str, Any], definition: Definition, table: TableProfile) -> Iterator[_Scan]:
    """Scans of the table: sequential ones, and by index those that run once. What a join looks up by index stays."""
    names = {(definition.schema, definition.table), *table.leaves}
    waiting: list[tuple[Mapping[str, Any], _Place]] = [(root, _Place())]
    while waiting:
        node, place = waiting.pop()
        kind, total = str(node.get("Node Type")), float(node.get("Total Cost", 0.0))
        by_index = kind in _BY_INDEX
        if (kind == "Seq Scan" or (by_index and not place.repeated)) and _read(node, definition.schema) in names:
            rows = float(node.get("Plan Rows", 1)) * (place.processes if node.get("Parallel Aware") else 1.0)
            paid_sorted = place.paid_sorted_at(total)
            yield _Scan(
                rows=rows,
                cost=total,
                paid_share=place.paid_share,
                paid_sorted=paid_sorted,
                outer_rows=place.outer_rows,
                early_rows=place.early_rows,
                row_cost=_row_cost(node),
                by_index=by_index,
            )
        waiting += [(child, _below(node, place, position)) for position, child in enumerate(node.get("Plans", ()))]


def _row_cost(scan: Mapping[str, Any]) -> float:
    """Of the subqueries in its filter; a hashed one is run once only."""
    condition = str(scan.get("Filter", ""))
    return sum(
        float(child.get("Total Cost", 0.0))
        for child in scan.get("Plans", ())
        if child.get("Parent Relationship") == "SubPlan" and f"hashed {child.get('Subplan Name')}" not in condition
    )


def _below(node: Mapping[str, Any], place: _Place, position: int) -> _Place:
    """The place of a node's child."""
    kind, total = str(node.get("Node Type")), float(node.get("Total Cost", 0.0))
    children = node.get("Plans", ())
    child = children[position]
    child_total = float(child.get("Total Cost", 0.0))
    others = [float(other.get("Plan Rows", 1)) for other in children if other is not child]
    joins = "Join" in kind or kind == "Nested Loop"
    share = place.paid_share
    if kind == "Limit":
        share *= min(1.0, total / child_total) if child_total else 1.0
    elif float(node.get("Startup Cost", 0.0)) >= child_total:
        share = 1.0  # a sort, a hash: all of it is read before the first row comes out
    early = None if kind in _GROUPS else place.early_rows
    workers = int(node.get("Workers Planned", 0))
    return _Place(
        paid_share=share,
        paid_sorted=place.paid_sorted_at(total) if len(children) == 1 and kind in _ORDERS else None,
        outer_rows=min(others) if joins and others else place.outer_rows,
        early_rows=float(node.get("Plan Rows", 1)) if kind == "Limit" else early,
        repeated=place.repeated
        or (kind == "Nested Loop" and position == 1)
        or child.get("Parent Relationship") == "SubPlan",
        processes=workers + max(0.0, 1.0 - _LEADER_SHARE_LOST * workers) if workers else place.processes,
    )


def _read(node: Mapping[str, Any], schema: str) -> tuple[str, str]:
    return str(node.get("Schema", schema)), str(node.get("Relation Name"))
