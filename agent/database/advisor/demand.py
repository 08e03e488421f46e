"""What a statement asks of each table it reads: comparisons, orders, groups and columns, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from agent.database.advisor.catalog import TableProfile

Kind = Literal[
    "equal", "null", "list", "join", "range", "prefix", "contains", "overlaps", "keys", "match", "like", "filter"
]
"""How a comparison can use an index: = with a value; IS NULL; a list of values; = with another table's column; < and >;
LIKE 'abc%'; @>; &&; ? and its kin; @@; LIKE '%abc%'; and filter, by which no index is searched."""

LOOKED_UP: frozenset[Kind] = frozenset({"equal", "null", "list", "join"})
GIN: frozenset[Kind] = frozenset({"contains", "overlaps", "keys", "match", "like"})


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One mention of a table in a statement."""

    number: int
    table: TableProfile


@dataclass(frozen=True, slots=True)
class Operand:
    """A column or an immutable expression of one occurrence. sql is canonical: equal operands have equal sql."""

    occurrence: int
    sql: str
    column: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Atom:
    """One comparison. predicate is the same as SQL when its values are written out, else "".

    selectivity is the share of the table's rows expected to pass, by statistics or PostgreSQL's defaults. other is
    the operand on the other side of a join.
    """

    kind: Kind
    operand: Operand
    selectivity: float
    predicate: str = ""
    other: Operand | None = None


@dataclass(frozen=True, slots=True)
class OrderKey:
    operand: Operand
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Order:
    """The leading keys of an ORDER BY, DISTINCT ON, GROUP BY or window that lie in one occurrence, never empty.

    limited: only the first rows are wanted. free: any order of the keys does (a GROUP BY).
    """

    keys: tuple[OrderKey, ...]
    limited: bool
    free: bool = False

    @property
    def occurrence(self) -> int:
        return self.keys[0].operand.occurrence


@dataclass(slots=True)
class Demands:
    """atoms all hold; of each of alternatives (branches of an OR) one does.

    read is which columns of an occurrence are used at all, None for every one. notes say why something that looks
    like a condition cannot be served.
    """

    occurrences: list[Occurrence] = field(default_factory=list)
    atoms: list[Atom] = field(default_factory=list)
    alternatives: list[list[list[Atom]]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    read: dict[int, set[str] | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, occurrence: int) -> list[Atom]:
        return [atom for atom in self.atoms if atom.operand.occurrence == occurrence]

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def reads(self, occurrence: int, column: str) -> None:
        columns = self.read.get(occurrence)
        if columns is not None:
            columns.add(column)
