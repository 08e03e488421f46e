"""Sizes and costs where no what-if is to be had: PostgreSQL's own formulas over the statistics, roughly.

Page fetches are one for each row (no correlation, no cache), so what is said here is on the cautious side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database.advisor.demand import GIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.definition import Definition
    from agent.database.advisor.demand import Atom, Demands
    from agent.database.snapshot import Plan

RANDOM_PAGE_COST = 4.0
CPU_TUPLE_COST = 0.01
CPU_INDEX_TUPLE_COST = 0.005
PAGE_BYTES = 8192
"""PostgreSQL's defaults (src/include/optimizer/cost.h)."""
_DESCENT_COST = 0.5
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
        after
        for scan, outer_rows, early_rows in _replaceable(plan.root, definition, table)
        if (after := _with_index(plan, scan, outer_rows, early_rows, definition, table, demands)) is not None
    ]
    if not found:
        return None
    if table.leaves:  # one scan a leaf, and every leaf gets its index
        return max(_DESCENT_COST, plan.total_cost - sum(plan.total_cost - after for after in found))
    return min(found)


def _with_index(
    plan: Plan,
    scan: Mapping[str, Any],
    outer_rows: float | None,
    early_rows: float | None,
    definition: Definition,
    table: TableProfile,
    demands: Demands,
) -> float | None:
    matched, joined, ordered = _matched(definition, demands)
    if not matched and not ordered and not definition.where:
        return None
    rows = (table.rows or 0.0) / max(1, len(table.leaves))
    share = _share_kept(definition, demands)
    for atom in matched:
        share *= atom.selectivity
    scanned = float(scan["Total Cost"])
    if joined:
        if outer_rows is None:
            return None
        saved = scanned - outer_rows * (_DESCENT_COST + _fetched(max(1.0, rows * share), table))
    elif ordered and early_rows is not None:
        saved = plan.total_cost - _fetched(early_rows / max(share, 1e-9) if not matched else early_rows, table)
    elif not matched and not definition.where:
        return None
    else:
        kept = rows * share if _more_conditions(matched, demands) else float(scan.get("Plan Rows", rows * share))
        saved = scanned - _fetched(max(1.0, kept), table)
    return max(_DESCENT_COST, plan.total_cost - saved) if saved > 0 else None


def _more_conditions(matched: Sequence[Atom], demands: Demands) -> bool:
    """Whether the scan's filter holds more than the index finds; if not, the planner knows the rows better than we."""
    operand = matched[0].operand if matched else None
    return operand is None or len(demands.of(operand.occurrence)) > len(matched)


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
    return found, any(atom.kind == "join" for atom in found), ordered


def _table_of(demands: Demands, atom: Atom) -> tuple[str, str]:
    table = demands.occurrences[atom.operand.occurrence].table
    return table.schema, table.table


def _replaceable(
    root: Mapping[str, Any], definition: Definition, table: TableProfile
) -> Iterator[tuple[Mapping[str, Any], float | None, float | None]]:
    """Sequential scans of the table, the rows on the other side of their join, and the rows of a LIMIT above."""
    names = {(definition.schema, definition.table), *table.leaves}
    waiting: list[tuple[Mapping[str, Any], float | None, float | None]] = [(root, None, None)]
    while waiting:
        node, outer, early = waiting.pop()
        if node.get("Node Type") == "Seq Scan" and _read(node, definition.schema) in names:
            yield node, outer, early
        children = list(node.get("Plans", ()))
        limit = float(node.get("Plan Rows", 1)) if node.get("Node Type") == "Limit" else early
        for child in children:
            others = [float(other.get("Plan Rows", 1)) for other in children if other is not child]
            joins = "Join" in str(node.get("Node Type")) or node.get("Node Type") == "Nested Loop"
            waiting.append((child, min(others) if joins and others else outer, limit))


def _read(node: Mapping[str, Any], schema: str) -> tuple[str, str]:
    return str(node.get("Schema", schema)), str(node.get("Relation Name"))
