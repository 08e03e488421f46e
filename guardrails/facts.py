"""What a rule must know of the world, gathered by others and handed in. None always means: not visible to us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class TableFacts:
    """An existing relation. kind is pg_class.relkind: r table, p partitioned, m materialised view, f foreign.

    bytes is the heap with its TOAST, rows the planner's estimate; None = never analysed or not visible. partitions are
    the direct ones of a partitioned table, as (schema, name, relkind).
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    kind: str = "r"
    rows: int | None = None
    bytes: int | None = None
    partitions: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An existing index. columns are its key columns in order, "" for an expression; partial = it has a WHERE.

    definition is pg_get_indexdef()'s, None = not read.
    """

    schema: str
    name: str
    table: str
    columns: tuple[str, ...]
    method: str = "btree"
    valid: bool = True
    ready: bool = True
    unique: bool = False
    partial: bool = False
    definition: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """An open transaction of this database. writes are the (schema, table) it holds a writing lock on, touches those
    it holds any lock on.

    pid 0 is a prepared transaction, and application then its identifier.
    """

    pid: int
    age_s: float
    state: str
    holds_snapshot: bool
    writes: tuple[tuple[str, str], ...] = ()
    application: str = ""
    touches: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """Something that holds SHARE UPDATE EXCLUSIVE or more on a table: a build, a vacuum, an analyze."""

    pid: int
    what: str
    schema: str
    table: str


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session that is there now. user None = hidden from us; query_sha256 as guardrails.server_action has it.

    kind is pg_stat_activity's backend_type; ours: it is one of Stanch's own.
    """

    pid: int
    backend_start: datetime
    user: str | None = None
    superuser: bool = False
    query_sha256: str = ""
    kind: str = "client backend"
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The target as it was at `now`. catalog holds at least every relation the action names, if it exists.

    disk_bytes and free_disk_bytes are of the file system the table is on. replication_lag_s is the slowest standby's,
    None without any or when not visible. current is the present value of what the action sets, "" = it is not set,
    None = it sets nothing or the value is not visible. there: a prepared transaction or a slot of that name exists;
    for a slot, in_use: its consumer is connected. Of a constraint, there means that it waits to be validated; of a
    role setting, that the role exists.
    """

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
    disk_bytes: int | None = None
    replication_lag_s: float | None = None
    current: str | None = None
    there: bool | None = None
    in_use: bool = False

    def table(self, schema: str, name: str) -> TableFacts | None:
        return next((table for table in self.catalog if (table.schema, table.name) == (schema, name)), None)

    def indexes_on(self, schema: str, table: str) -> tuple[IndexFacts, ...]:
        return tuple(index for index in self.indexes if (index.schema, index.table) == (schema, table))
