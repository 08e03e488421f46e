"""What was read from a target, as frozen values; the judgement over them is in checks.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003 - from_data() reads the hints
from dataclasses import dataclass
from typing import Any

from agent.database.value import Value


@dataclass(frozen=True, slots=True)
class NotVisible(Value):
    """Something the role or the server would not show. It is never the same as "there is none".

    grant: the statement that would show it, for whoever may give it; "" = there is none.
    """

    what: str
    why: str
    grant: str = ""


@dataclass(frozen=True, slots=True)
class TargetIdentity(Value):
    """Which server this is. system_identifier is PostgreSQL's, in decimal; server_version_num as in 150018."""

    name: str
    system_identifier: str
    database: str
    server_version_num: int
    in_recovery: bool


@dataclass(frozen=True, slots=True)
class StatementDelta(Value):
    """One normalised statement over the window of a Workload.

    mean_exec_ms is over the window. baseline_mean_exec_ms is the mean from the last reset up to the window's start,
    None when the statement had not run before; min_exec_ms is the fastest run since the reset, None before
    pg_stat_statements 1.8. read and hit count 8 kB blocks.
    """

    queryid: int
    query: str
    calls: int
    total_exec_ms: float
    mean_exec_ms: float
    baseline_mean_exec_ms: float | None
    min_exec_ms: float | None
    rows: int
    shared_blks_read: int
    shared_blks_hit: int
    user: str


@dataclass(frozen=True, slots=True)
class TableDelta(Value):
    """One table over the window: scans and tuples are counts in the window, the rest is as of its end.

    total_bytes holds the table with its indexes and TOAST. last_analyze is RFC 3339, by hand or by autovacuum;
    None when never. live_rows and dead_rows are the statistics collector's estimates.
    """

    schema: str
    table: str
    seq_scans: int
    seq_tup_read: int
    idx_scans: int
    live_rows: int
    dead_rows: int
    modified_since_analyze: int
    last_analyze: str | None
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Workload(Value):
    """What ran between two snapshots window_s apart.

    statements are those that took most time, longest first; tables those read or changed most, by tuples read.
    total_exec_ms is over all statements of this database, not only the listed ones. resets_detected: some counter
    went backwards, so the deltas are lower bounds.
    """

    window_s: float
    statements: tuple[StatementDelta, ...]
    tables: tuple[TableDelta, ...]
    total_exec_ms: float
    resets_detected: bool
    not_visible: tuple[NotVisible, ...]


@dataclass(frozen=True, slots=True)
class Session(Value):
    """One client connection. Ages in seconds; None is "no such thing" or, with visible False, "not shown to us".

    backend_start is RFC 3339. backend_xmin_age counts transactions; a held one keeps vacuum and the last phase of
    CREATE INDEX CONCURRENTLY waiting. waiting_s is how long it has waited for a lock, on 12 and 13 no more than the
    age of its statement. query is the raw text: hostile, and it may hold literals.
    """

    pid: int
    user: str
    application: str
    state: str
    wait_event_type: str | None
    wait_event: str | None
    xact_age_s: float | None
    state_age_s: float | None
    backend_xmin_age: int | None
    backend_start: str
    query: str
    blocked_by: tuple[int, ...]
    waiting_s: float | None
    visible: bool


@dataclass(frozen=True, slots=True)
class Activity(Value):
    """Client connections now, ours left out.

    by_state counts all of them ("hidden" for those the role may not see). sessions holds the waiting, the blocking
    and the oldest ones only. usable_connections is max_connections without those reserved for superusers.
    """

    by_state: Mapping[str, int]
    by_application: Mapping[str, int]
    sessions: tuple[Session, ...]
    total: int
    usable_connections: int
    not_visible: tuple[NotVisible, ...]

    @property
    def waiting(self) -> tuple[Session, ...]:
        return tuple(session for session in self.sessions if session.blocked_by)

    def root_blockers(self) -> tuple[int, ...]:
        """Pids that block others and are blocked by nobody, by how many wait behind them; prepared ones are pid 0."""
        blocked_by = {session.pid: session.blocked_by for session in self.waiting}
        behind: dict[int, int] = {}
        for pid in blocked_by:
            for root in _roots(pid, blocked_by):
                behind[root] = behind.get(root, 0) + 1
        return tuple(sorted(behind, key=lambda pid: (-behind[pid], pid)))


def _roots(pid: int, blocked_by: Mapping[int, tuple[int, ...]]) -> set[int]:
    seen = {pid}
    roots: set[int] = set()
    waiting = [pid]
    while waiting:
        for blocker in blocked_by[waiting.pop()]:
            if blocker in seen:
                continue
            seen.add(blocker)
            if blocker in blocked_by:
                waiting.append(blocker)
            else:
                roots.add(blocker)
    return roots


@dataclass(frozen=True, slots=True)
class ColumnFacts(Value):
    """n_distinct as in pg_stats: negative is a share of the rows. None: no statistics, or not ours to see."""

    name: str
    type: str
    n_distinct: float | None
    null_frac: float | None
    avg_width_bytes: int | None


@dataclass(frozen=True, slots=True)
class IndexFacts(Value):
    """columns are the plain key columns in order; an expression among them is None. Included columns are left out."""

    name: str
    columns: tuple[str | None, ...]
    definition: str
    method: str
    valid: bool
    ready: bool
    unique: bool
    partial: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class TableFacts(Value):
    """One table. rows is the planner's estimate, None when it was never analysed; bytes without indexes and TOAST."""

    schema: str
    table: str
    columns: tuple[ColumnFacts, ...]
    indexes: tuple[IndexFacts, ...]
    rows: int | None
    bytes: int
    partitioned: bool

    def column(self, name: str) -> ColumnFacts | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class InvalidIndex(Value):
    """An index that is not valid and that nobody is building. ready means that every write pays for it."""

    schema: str
    table: str
    name: str
    ready: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class WhatIf(Value):
    """What the planner makes of an index that does not exist, by HypoPG: plan costs and its estimated size."""

    cost_before: float
    cost_after: float
    estimated_bytes: int
    used: bool


@dataclass(frozen=True, slots=True)
class Comparison(Value):
    """Two queries over the same rows: how many rows the first gave, and in which the second differed."""

    rows: int
    missing: int
    added: int

    @property
    def equal(self) -> bool:
        return not self.missing and not self.added


@dataclass(frozen=True, slots=True)
class SequentialScan(Value):
    """A Seq Scan node. rows and cost are the planner's; filter None when every row is wanted."""

    schema: str | None
    table: str
    alias: str
    filter: str | None
    rows: float
    cost: float


@dataclass(frozen=True, slots=True)
class Plan(Value):
    """EXPLAIN (VERBOSE, FORMAT JSON) of one statement; root is PostgreSQL's own tree. Costs in planner units."""

    root: Mapping[str, Any]

    @property
    def total_cost(self) -> float:
        return float(self.root["Total Cost"])

    def nodes(self) -> Iterator[Mapping[str, Any]]:
        """Every node, parents first."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.get("Plans", ())))

    def sequential_scans(self) -> tuple[SequentialScan, ...]:
        """Sequential scans, the most expensive first."""
        scans = (_scan(node) for node in self.nodes() if node.get("Node Type") == "Seq Scan")
        return tuple(sorted(scans, key=lambda scan: -scan.cost))

    @classmethod
    def parse(cls, explained: Any) -> Plan:
        """From what EXPLAIN (FORMAT JSON) returned: a list of one object with "Plan".

        Raises:
            ValueError: it is something else.
        """
        match explained:
            case [{"Plan": {"Node Type": str(), "Total Cost": float() | int()} as root}]:
                return cls(root)
        raise ValueError("not the result of EXPLAIN (FORMAT JSON)")


def _scan(node: Mapping[str, Any]) -> SequentialScan:
    return SequentialScan(
        schema=node.get("Schema"),
        table=str(node.get("Relation Name", "")),
        alias=str(node.get("Alias", node.get("Relation Name", ""))),
        filter=node.get("Filter"),
        rows=float(node.get("Plan Rows", 0)),
        cost=float(node.get("Total Cost", 0)),
    )
