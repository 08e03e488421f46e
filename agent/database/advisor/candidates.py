"""Indexes worth asking the planner about: equality first, then a range or the order, for each table of a statement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.database.advisor.definition import Definition, Key
from agent.database.advisor.demand import GIN, LOOKED_UP
from guardrails.sql.identifier import qualified

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.demand import Atom, Demands, Occurrence, Operand, Order

MAX_KEYS = 4
"""A further column hardly narrows what these left, and every write pays for it."""
MAX_PER_TABLE = 14
RARE = 0.1
"""A partial index is tried where its predicate leaves at most this share of the rows."""
MAX_STATES = 12
"""A constant compared with a column of more values is one of many parameters, not a state worth an index of its own."""
SMALL_TABLE_ROWS = 1000
MAX_INCLUDED = 4
MAX_INCLUDED_BYTES = 40
"""Wider rows in an index cost more than the visits to the table they save."""
_PATTERN_CLASSES = {
    "text": "text_pattern_ops",
    "character varying": "varchar_pattern_ops",
    "character": "bpchar_pattern_ops",
}
_NO_BTREE = ("json", "jsonb", "xml", "point", "box", "polygon", "tsvector", "tsquery")


@dataclass(frozen=True, slots=True)
class Move:
    """Indexes that are added together: one, or those of the branches of an OR, which help only all at once."""

    definitions: tuple[Definition, ...]


@dataclass(frozen=True, slots=True)
class Extensions:
    """Schemas of extensions whose operator classes may be used; None when not installed."""

    pg_trgm: str | None = None


def moves(demands: Demands, extensions: Extensions, *, writes: bool) -> tuple[Move, ...]:
    """What to try, the most promising of each table first, each once.

    writes: the rows are changed anyway, so an index that spares the visit to the table spares nothing.
    """
    found: list[Move] = []
    for occurrence in demands.occurrences:
        if _is_indexable(occurrence.table):
            definitions = _of_table(occurrence, demands, extensions, writes=writes)
            found += [Move((definition,)) for definition in definitions]
    found += _alternatives(demands, extensions)
    return tuple(dict.fromkeys(found))


def _is_indexable(table: TableProfile) -> bool:
    return not_indexed(table) is None


def not_indexed(table: TableProfile) -> str | None:
    """Why this table gets no index whatever is asked of it; None when it may get one."""
    if table.system:
        return "system catalogs are not indexed"
    if table.temporary:
        return "a temporary table belongs to one session, which has to index it itself"
    if table.kind == "f":
        return "a foreign table is indexed where it lives"
    if table.kind not in {"r", "m", "p"}:
        return "it is a view"
    if table.rows is not None and table.rows < SMALL_TABLE_ROWS:
        return f"a small table ({table.rows:.0f} rows): reading all of it is as fast"
    return None


def _of_table(occurrence: Occurrence, demands: Demands, extensions: Extensions, *, writes: bool) -> list[Definition]:
    table, atoms = occurrence.table, demands.of(occurrence.number)
    orders = [order for order in demands.orders if order.occurrence == occurrence.number]
    plain = _key_lists(table, atoms, orders)
    definitions = [_definition(table, keys) for keys in plain]
    read = None if writes else demands.read.get(occurrence.number)
    covering = [made for definition in definitions if (made := _covering(table, definition, read)) is not None]
    gin = [_gin(table, atom, extensions) for atom in atoms if atom.kind in GIN]
    unique = dict.fromkeys([*gin, *_interleaved(definitions, covering)])
    return [definition for definition in unique if definition is not None][:MAX_PER_TABLE]


def _interleaved(*lists: list[Definition]) -> list[Definition]:
    """The first of each, then the second of each: a cap cuts all of them alike."""
    longest = max(map(len, lists), default=0)
    return [one[position] for position in range(longest) for one in lists if position < len(one)]


def _key_lists(table: TableProfile, atoms: Sequence[Atom], orders: Sequence[Order]) -> list[tuple[Key, ...]]:
    fixed = _most_selective_first(a for a in atoms if a.kind in {"equal", "null"})
    listed = _most_selective_first(a for a in atoms if a.kind == "list")
    joined = _most_selective_first(a for a in atoms if a.kind == "join")
    ranged = _keys(a for a in atoms if a.kind == "range")
    prefixed = _prefix_keys(table, atoms)
    wanted: list[tuple[Key, ...]] = []
    for order in sorted(orders, key=lambda order: not order.limited):
        asked = tuple(_order_key(order))
        wanted += [(*fixed, *asked), *((join, *fixed, *asked) for join in joined[:2]), asked]
    for last in (*prefixed, *ranged, None):
        tail = () if last is None else (last,)
        wanted += [(*fixed, *listed, *tail), *((join, *fixed, *tail) for join in joined[:3])]
        wanted += [(*fixed, *tail), tail]
    for join in joined[:3]:
        wanted += [(*fixed, join), (join, *fixed, *listed), (join,)]
    if len(joined) > 1:
        wanted.append(tuple(joined[:3]))
    wanted += [(key,) for key in (*fixed, *listed)]
    return list(dict.fromkeys(short for keys in wanted if (short := _shortened(keys))))


def _shortened(keys: Sequence[Key]) -> tuple[Key, ...]:
    unique: dict[str, Key] = {}
    for key in keys:
        unique.setdefault(key.sql, key)
    return tuple(list(unique.values())[:MAX_KEYS])


def _most_selective_first(atoms: Iterable[Atom]) -> list[Key]:
    return _keys(sorted(atoms, key=lambda atom: atom.selectivity))


def _keys(atoms: Iterable[Atom]) -> list[Key]:
    return list(dict.fromkeys(_key(atom.operand) for atom in atoms if _has_order(atom.operand)))


def _has_order(operand: Operand) -> bool:
    """Whether the type has a btree operator class, as far as we know it."""
    return not operand.type.startswith(_NO_BTREE) and not operand.type.endswith("[]")


def _key(operand: Operand) -> Key:
    return Key(operand.sql, operand.column)


def _prefix_keys(table: TableProfile, atoms: Sequence[Atom]) -> list[Key]:
    keys = []
    for atom in atoms:
        if atom.kind != "prefix":
            continue
        column = table.column(atom.operand.column) if atom.operand.column is not None else None
        bytewise = column is not None and column.c_collation
        opclass = "" if bytewise else _PATTERN_CLASSES.get(atom.operand.type, "text_pattern_ops")
        keys.append(replace(_key(atom.operand), opclass=opclass))
    return keys


def _order_key(order: Order) -> list[Key]:
    """The order's keys as an index gives them; a btree is read backwards too, so one direction for all is ascending."""
    keys = [key for key in order.keys if _has_order(key.operand)]
    directions = {key.descending for key in keys}
    usual = all(key.nulls_first == key.descending for key in keys)
    if order.free or (usual and len(directions) == 1):
        return [_key(key.operand) for key in keys]
    return [
        replace(_key(key.operand), descending=key.descending, nulls_first=key.nulls_first if not usual else None)
        for key in keys
    ]


def _definition(table: TableProfile, keys: tuple[Key, ...]) -> Definition:
    return Definition(table.schema, table.table, keys)


def parts(definition: Definition, demands: Demands) -> list[Definition]:
    """The index limited to the rows of a rare state that the statement asks for by a written-out constant."""
    found = []
    for atom in demands.atoms:
        table = demands.occurrences[atom.operand.occurrence].table
        if (table.schema, table.table) != (definition.schema, definition.table) or not _marks_a_state(table, atom):
            continue
        key = next((key for key in definition.keys if key.sql == atom.operand.sql), None)
        if key is None or definition.where or definition.method != "btree":
            continue
        whole = replace(definition, keys=(key, *_beside(atom, demands)))
        found.append((whole if len(definition.keys) == 1 else definition).part(key, atom.predicate))
    return found


def _beside(atom: Atom, demands: Demands) -> tuple[Key, ...]:
    """Keys for the rows of a state that is searched for alone: the order asked for, which then comes free."""
    occurrence = demands.occurrences[atom.operand.occurrence]
    others = [other for other in demands.of(occurrence.number) if other.operand != atom.operand]
    orders = [order for order in demands.orders if order.occurrence == occurrence.number and order.limited]
    return next(iter(_key_lists(occurrence.table, others, orders)), ()) if orders else ()


def _marks_a_state(table: TableProfile, atom: Atom) -> bool:
    if not atom.predicate or atom.selectivity > RARE or atom.kind not in {"null", "equal"}:
        return False
    if atom.kind == "null" or atom.operand.type == "boolean":
        return True
    return atom.operand.column is not None and table.distinct(atom.operand.column) <= MAX_STATES


def _covering(table: TableProfile, definition: Definition, read: set[str] | None) -> Definition | None:
    """The same with the other columns the statement reads, where those are few and narrow."""
    if read is None or any(key.column is None for key in definition.keys):
        return None
    more = tuple(sorted(read - {key.column for key in definition.keys}))
    columns = [table.column(name) for name in more]
    widths = [column.width_bytes if column is not None else None for column in columns]
    if not 1 <= len(more) <= MAX_INCLUDED or any(width is None for width in widths):
        return None
    updated = table.updated_columns or frozenset()
    if sum(width or 0 for width in widths) > MAX_INCLUDED_BYTES or updated.intersection(more):
        return None
    return replace(definition, include=more)


def _gin(table: TableProfile, atom: Atom, extensions: Extensions) -> Definition | None:
    operand, opclass = atom.operand, ""
    match atom.kind:
        case "like":
            if extensions.pg_trgm is None or operand.type not in {"text", "character varying"}:
                return None
            opclass = qualified(extensions.pg_trgm, "gin_trgm_ops")
        case "match":
            if operand.type != "tsvector":
                return None
        case "contains" if operand.type == "jsonb":
            opclass = "jsonb_path_ops"
        case "keys":
            if operand.type != "jsonb":
                return None
        case _:
            if not operand.type.endswith("[]"):
                return None
    return Definition(table.schema, table.table, (Key(operand.sql, operand.column, opclass),), "gin")


def _alternatives(demands: Demands, extensions: Extensions) -> list[Move]:
    """One index for each branch of an OR: a bitmap scan joins them, but only when none is missing."""
    found: list[Move] = []
    for branches in demands.alternatives:
        chosen: list[Definition] = []
        for branch in branches:
            best = min(
                (atom for atom in branch if atom.kind in LOOKED_UP | {"range", "prefix"} | GIN),
                key=lambda atom: atom.selectivity,
                default=None,
            )
            if best is None:
                break
            occurrence = demands.occurrences[best.operand.occurrence]
            same = [atom for atom in branch if atom.operand.occurrence == occurrence.number]
            gin = _gin(occurrence.table, best, extensions) if best.kind in GIN else None
            keys = _key_lists(occurrence.table, same, ())
            if gin is None and not keys:
                break
            chosen.append(gin or _definition(occurrence.table, keys[0]))
        else:
            found.append(Move(tuple(dict.fromkeys(chosen))))
    return found
