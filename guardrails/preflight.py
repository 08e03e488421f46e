"""What the state of a target says against an action, before anybody is asked and again before it runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
from guardrails.server_action import CancelBackend, TerminateBackend
from guardrails.sql.identifier import qualified
from guardrails.sql.lock import Mode
from guardrails.table_action import AnalyzeTable, CreateStatistics, SetStatisticsTarget, VacuumTable
from guardrails.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardrails.action import Action, Rendered
    from guardrails.facts import Facts, TableFacts
    from guardrails.policy import Policy

OLDEST_VERSION_NUM = 120000
_CORRUPTING_VERSIONS = range(140000, 140004)  # fixed in 14.4: concurrent builds could miss rows
_DISK_FACTOR = 3  # index and sort files while it builds (facts measured on 15: 2 to 3 times the final size)
_TUPLE_BYTES = 16  # line pointer, tuple header and padding of a b-tree entry
_COLUMN_BYTES = 16  # a guess that errs upwards for numbers and short texts
_PAGE_FILL = 0.9
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast", "stanch_guard"})
_ORDINARY = frozenset({"r", "m"})
_PARTITIONED = frozenset({"p"})
_WITH_STATISTICS = frozenset({"r", "m", "p", "f"})
_CONCURRENT = (CreateIndexConcurrently, CreatePartitionedIndex, ReindexIndexConcurrently)

Check: TypeAlias = "Callable[[Action, Rendered, Facts, Policy], Iterator[Finding]]"


def preflight(action: Action, rendered: Rendered, facts: Facts, policy: Policy) -> tuple[Finding, ...]:
    """Every objection, the ones that refuse first."""
    found = [finding for check in _CHECKS for finding in check(action, rendered, facts, policy)]
    return tuple(sorted(found, key=lambda finding: ("refuse", "warn", "note").index(finding.level)))


def estimated_bytes(action: CreateIndexConcurrently | CreatePartitionedIndex, table: TableFacts) -> int | None:
    """A rough upper size of the new index; None when the row count is not known."""
    if table.rows is None:
        return None
    return int(table.rows * (_TUPLE_BYTES + _COLUMN_BYTES * len(action.columns)) / _PAGE_FILL)


def _policy_allows(action: Action, _rendered: Rendered, facts: Facts, policy: Policy) -> Iterator[Finding]:
    if action.kind in policy.never:
        yield Finding(
            "never_list",
            "refuse",
            f"the policy never allows {action.kind}",
            "take it off the never list or do it by hand",
        )
    freeze = policy.frozen_by(facts.now)
    if freeze is not None:
        yield Finding(
            "freeze_window",
            "refuse",
            f"changes are frozen until {freeze.ends.isoformat()}: {freeze.reason}",
            "wait for the end of the freeze, or end it in stanch.yaml",
        )
    if facts.recent_executions >= policy.rate_limit.executions:
        yield Finding(
            "rate_limit",
            "refuse",
            f"{facts.recent_executions} executions within {policy.rate_limit.window_s:g} s on this target",
            "wait, and look at why so many fixes were needed",
        )


def _server_can(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if facts.in_recovery:
        yield Finding(
            "standby", "refuse", "the server is a standby and takes no changes", "connect the fix role to the primary"
        )
    if facts.server_version_num < OLDEST_VERSION_NUM:
        yield Finding(
            "unsupported_version",
            "refuse",
            f"server version {facts.server_version_num} is older than 12: its locks were not checked",
            "do it by hand, or upgrade",
        )
    if isinstance(action, _CONCURRENT) and facts.server_version_num in _CORRUPTING_VERSIONS:
        yield Finding(
            "concurrent_index_corruption",
            "refuse",
            "PostgreSQL 14.0 to 14.3 can build a corrupt index CONCURRENTLY without any error",
            "upgrade to 14.4 or later first",
        )


def _relation_exists(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not action.table:
        return
    name = qualified(action.schema, action.table)
    if action.schema in _SYSTEM_SCHEMAS or action.schema.startswith("pg_"):
        yield Finding("system_relation", "refuse", f"{name} belongs to the system", "leave it alone")
    table = facts.table(action.schema, action.table)
    if table is None:
        yield Finding("unknown_relation", "refuse", f"{name} is not in the catalog", "check schema and spelling")
        return
    if table.kind not in _suitable_kinds(action):
        yield Finding(
            "unsuitable_relation",
            "refuse",
            f"{name} has relkind {table.kind}, which {action.kind} does not take",
            "a partitioned table's indexes are built on each partition, then attached",
        )
    for column in _columns_of(action):
        if column not in table.columns:
            yield Finding("unknown_column", "refuse", f"{name} has no column {column!r}", "check the spelling")


def _suitable_kinds(action: Action) -> frozenset[str]:
    if isinstance(action, CreatePartitionedIndex):
        return _PARTITIONED
    if isinstance(action, AnalyzeTable | VacuumTable | SetStatisticsTarget | CreateStatistics):
        return _WITH_STATISTICS
    return _ORDINARY


def _columns_of(action: Action) -> tuple[str, ...]:
    """The columns of its table that the action names."""
    if isinstance(action, SetStatisticsTarget):
        return (action.column,)
    columns: tuple[str, ...] = getattr(action, "columns", ())
    return columns


def _index_is_there(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, DropIndexConcurrently | ReindexIndexConcurrently):
        return
    name = qualified(action.schema, action.index)
    index = next((one for one in facts.indexes_on(action.schema, action.table) if one.name == action.index), None)
    if index is None:
        yield Finding("unknown_index", "refuse", f"{name} is not an index of the table", "check the spelling")
    elif isinstance(action, DropIndexConcurrently):
        if index.unique:
            yield Finding("unique_index", "refuse", f"{name} is unique: it guards the data", "keep it")
        if (index.columns, index.method) != (action.columns, action.method) or index.partial:
            yield Finding(
                "index_differs",
                "refuse",
                f"{name} is not the index described, so it could not be brought back as it was",
                "describe it by its columns and method; one with expressions or a WHERE is dropped by hand",
            )


def _session_is_there(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, CancelBackend | TerminateBackend):
        return
    started = datetime.fromisoformat(action.backend_start)
    session = next((one for one in facts.sessions if (one.pid, one.backend_start) == (action.pid, started)), None)
    if session is None:
        yield Finding("unknown_session", "refuse", f"process {action.pid} is gone or is another session", "look again")
    elif session.superuser:
        yield Finding(
            "superuser_session",
            "refuse",
            f"process {action.pid} belongs to a superuser, whom pg_signal_backend cannot end",
            "ask whoever runs it",
        )


def _index_is_new(action: Action, rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, CreateIndexConcurrently | CreatePartitionedIndex):
        return
    for index in facts.indexes_on(action.schema, action.table):
        name = qualified(index.schema, index.name)
        same_start = index.columns[: len(action.columns)] == action.columns and index.method == action.method
        if index.name == rendered.object_name and not index.valid:
            yield Finding(
                "invalid_index",
                "refuse",
                f"{name} is left INVALID by an earlier run of this proposal",
                rendered.cleanup,
            )
        elif not index.valid and same_start:
            yield Finding(
                "invalid_index",
                "warn",
                f"{name} on the same columns is INVALID: it serves no query and may cost every write",
                f"DROP INDEX CONCURRENTLY {name}",
            )
        elif same_start and not index.partial and index.valid:
            yield Finding(
                "index_exists",
                "refuse",
                f"{name} already begins with these columns",
                "find out why the planner does not use it: statistics, types, or a condition it cannot match",
            )


def _disk_holds_it(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, CreateIndexConcurrently | CreatePartitionedIndex):
        return
    table = facts.table(action.schema, action.table)
    size = None if table is None else estimated_bytes(action, table)
    if facts.free_disk_bytes is None or size is None:
        yield Finding(
            "disk_space",
            "note",
            "free disk space or the table's size is not visible to us",
            "make sure that three times the size of the index is free",
        )
    elif facts.free_disk_bytes < _DISK_FACTOR * size:
        yield Finding(
            "disk_space",
            "refuse",
            f"the build needs up to {_DISK_FACTOR * size} bytes, {facts.free_disk_bytes} are free",
            "free disk space first",
        )


def _nobody_in_the_way(action: Action, _rendered: Rendered, facts: Facts, policy: Policy) -> Iterator[Finding]:
    if action.strongest < Mode.SHARE_UPDATE_EXCLUSIVE:
        return
    for operation in facts.running:
        if (operation.schema, operation.table) == (action.schema, action.table):
            builds = "INDEX" in operation.what.upper()
            yield Finding(
                "table_busy",
                "refuse" if builds else "warn",
                f"process {operation.pid} runs {operation.what} on the table"
                + (": two concurrent builds on one table deadlock" if builds else ": the build waits for it"),
                "wait for it to finish",
            )
    for transaction in facts.transactions:
        writes_here = (action.schema, action.table) in transaction.writes
        if transaction.age_s >= policy.long_transaction_s and (transaction.holds_snapshot or writes_here):
            yield Finding(
                "long_transaction",
                "warn",
                f"process {transaction.pid} ({transaction.state}) has been in a transaction"
                f" for {transaction.age_s:.0f} s: the build waits for its end",
                "let it finish, or end that session first",
            )


_CHECKS: tuple[Check, ...] = (
    _policy_allows,
    _server_can,
    _relation_exists,
    _index_is_new,
    _index_is_there,
    _session_is_there,
    _disk_holds_it,
    _nobody_in_the_way,
)
