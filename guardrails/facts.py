"""What a rule must know of the world, gathered by others and handed in. None always means: not visible to us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class TableFacts:
    """An existing relation. kind is pg_class.relkind: r table, p partitioned, m materialised view, f foreign.

    bytes is the heap with its TOAST, rows the planner's estimate; None = never analysed or not visible.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    kind: str = "r"
    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An existing index. columns are its key columns in order, "" for an expression; partial = it has a WHERE."""

    schema: str
    name: str
    table: str
    columns: tuple[str, ...]
    method: str = "btree"
    valid: bool = True
    ready: bool = True
    unique: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """An open transaction of this database. writes are the (schema, table) it holds a writing lock on."""

    pid: int
    age_s: float
    state: str
    holds_snapshot: bool
    writes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """Something that holds SHARE UPDATE EXCLUSIVE or more on a table: a build, a vacuum, an analyze."""

    pid: int
    what: str
    schema: str
    table: str


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session that is there now. user None = hidden from us."""

    pid: int
    backend_start: datetime
    user: str | None = None
    superuser: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The target as it was at `now`. catalog holds at least every relation the action names, if it exists."""

    now: datetime
    target: str
    environment: str
    server_version_num: int
    catalog: tuple[TableFacts, ...]
    indexes: tuple[IndexFacts, ...] = ()
    transactions: tuple[TransactionFacts, ...] = ()
    running: tuple[RunningOperation, ...] = ()
    free_disk_bytes: int | None = None
    in_recovery: bool = False
    recent_executions: int = 0
    sessions: tuple[SessionFacts, ...] = ()

    def table(self, schema: str, name: str) -> TableFacts | None:
        return next((table for table in self.catalog if (table.schema, table.name) == (schema, name)), None)

    def indexes_on(self, schema: str, table: str) -> tuple[IndexFacts, ...]:
        return tuple(index for index in self.indexes if (index.schema, index.table) == (schema, table))
