"""What the state of a target says against an action, before anybody is asked and again before it runs.

In this order: what the policy and the server's version allow, what the action names, disk space, what runs on the
table, old transactions, standbys. What only some kinds of action ask is in guardrails.preconditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from guardrails import preconditions
from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
from guardrails.sql.identifier import literal, qualified
from guardrails.sql.lock import Mode
from guardrails.table_action import AnalyzeTable, CreateStatistics, SetStatisticsTarget, VacuumTable
from guardrails.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardrails.action import Action, Rendered
    from guardrails.facts import Facts, RunningOperation, TableFacts, TransactionFacts
    from guardrails.policy import Policy

OLDEST_VERSION_NUM = 120000
_CORRUPTING_VERSIONS = range(140000, 140004)  # fixed in 14.4: concurrent builds could miss rows
_DISK_FACTOR = 3  # index and sort files while it builds (measured on 15: 2 to 3 times the final size)
_REBUILD_DISK_FACTOR = 2  # a rebuilt index is no larger than the old one
_FREE_SHARE_AFTER = 0.15
SLOW_STANDBY_S = 30.0
_TUPLE_BYTES = 16  # line pointer, tuple header and padding of a b-tree entry
_COLUMN_BYTES = 16  # a guess that errs upwards for numbers and short texts
_PAGE_FILL = 0.9
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast", "stanch_guard"})
_ORDINARY = frozenset({"r", "m"})
_PARTITIONED = frozenset({"p"})
_WITH_STATISTICS = frozenset({"r", "m", "p", "f"})
_BUILDS = (CreateIndexConcurrently, CreatePartitionedIndex, ReindexIndexConcurrently)
_WAITS_FOR_TRANSACTIONS = (*_BUILDS, DropIndexConcurrently)

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
    if isinstance(action, _BUILDS) and facts.server_version_num in _CORRUPTING_VERSIONS:
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


def _disk_holds_it(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, _BUILDS):
        return
    needed = _disk_needed(action, facts)
    if facts.free_disk_bytes is None or needed is None:
        yield Finding(
            "disk_space",
            "note",
            "free disk space or the table's size is not visible to us",
            "make sure that three times the size of the index is free",
        )
    elif facts.free_disk_bytes < needed:
        yield Finding(
            "disk_space",
            "refuse",
            f"the build needs up to {needed} bytes, {facts.free_disk_bytes} are free",
            "free disk space first",
        )
    elif facts.disk_bytes and facts.free_disk_bytes - needed < _FREE_SHARE_AFTER * facts.disk_bytes:
        yield Finding(
            "disk_space",
            "warn",
            f"the build leaves less than {_FREE_SHARE_AFTER:.0%} of the disk free",
            "free disk space first, or watch it while it builds",
        )


def _disk_needed(
    action: CreateIndexConcurrently | CreatePartitionedIndex | ReindexIndexConcurrently, facts: Facts
) -> int | None:
    """Bytes at the most; None when nothing is known of the size."""
    if isinstance(action, ReindexIndexConcurrently):
        old = next((one for one in facts.indexes_on(action.schema, action.table) if one.name == action.index), None)
        return None if old is None or old.bytes is None else _REBUILD_DISK_FACTOR * old.bytes
    table = facts.table(action.schema, action.table)
    size = None if table is None else estimated_bytes(action, table)
    return None if size is None else _DISK_FACTOR * size


def _nobody_works_on_it(action: Action, rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if action.strongest < Mode.SHARE_UPDATE_EXCLUSIVE:
        return
    for operation in facts.running:
        if (operation.schema, operation.table) in rendered.relations:
            yield _busy(action, operation)


def _busy(action: Action, operation: RunningOperation) -> Finding:
    builds = "INDEX" in operation.what.upper()
    both = builds and isinstance(action, _WAITS_FOR_TRANSACTIONS)
    return Finding(
        "table_busy",
        "refuse" if builds else "warn",
        f"process {operation.pid} runs {operation.what} on {qualified(operation.schema, operation.table)}"
        + (": two concurrent builds on one table deadlock" if both else f": {action.kind} waits for it"),
        "wait for it to finish",
    )


def _no_old_transactions(action: Action, rendered: Rendered, facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Those that would be waited for, each with what to do about it."""
    for one in facts.transactions:
        writes = bool(set(rendered.relations) & set(one.writes))
        touches = bool(set(rendered.relations) & {*one.touches, *one.writes})
        if isinstance(action, _WAITS_FOR_TRANSACTIONS):
            waited_for = writes or one.holds_snapshot
        else:
            # Locks for an instant, but the queue behind them stands as long as they wait.
            waited_for = touches and action.strongest > Mode.SHARE_UPDATE_EXCLUSIVE
        if waited_for and one.age_s >= policy.long_transaction_s:
            yield _old_transaction(one, action)


def _old_transaction(one: TransactionFacts, action: Action) -> Finding:
    if not one.pid:
        name = literal(one.application).strip()
        return Finding(
            "long_transaction",
            "warn",
            f"the prepared transaction {name} is {one.age_s:.0f} s old: {action.kind} waits for its end",
            f"COMMIT PREPARED {name} or ROLLBACK PREPARED {name}, by whoever coordinates it",
        )
    holds = "holds a snapshot" if one.holds_snapshot else "has written to the table"
    what = (
        f"it does nothing: have {one.application or 'its application'} commit, or end the session {one.pid}"
        if one.state.startswith("idle")
        else f"let it finish, or cancel the statement of {one.pid}"
    )
    return Finding(
        "long_transaction",
        "warn",
        f"process {one.pid} ({one.application or 'no application name'}, {one.state}) has been in a transaction"
        f" for {one.age_s:.0f} s and {holds}: {action.kind} waits for its end",
        what,
    )


def _standbys_keep_up(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    lag_s = facts.replication_lag_s
    if isinstance(action, _BUILDS) and lag_s is not None and lag_s > SLOW_STANDBY_S:
        yield Finding(
            "replication_lag",
            "warn",
            f"a standby is {lag_s:.0f} s behind, and a build writes as much WAL as the index is big",
            "let it catch up first where its readers or a failover would miss those seconds",
        )


_CHECKS: tuple[Check, ...] = (
    _policy_allows,
    _server_can,
    _relation_exists,
    preconditions.partitions_are_named,
    _disk_holds_it,
    preconditions.index_is_new,
    preconditions.index_is_there,
    preconditions.session_is_there,
    preconditions.named_thing_is_there,
    preconditions.previous_is_known,
    _nobody_works_on_it,
    _no_old_transactions,
    _standbys_keep_up,
)
