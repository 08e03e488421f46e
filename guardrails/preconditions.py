"""What single kinds of action ask of a target before they may run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
from guardrails.server_action import (
    AlterSystemReload,
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.sql.identifier import qualified, quoted
from guardrails.table_action import SetStatisticsTarget, SetTableStorage, ValidateConstraint
from guardrails.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrails.action import Action, Rendered
    from guardrails.facts import Facts, IndexFacts, SessionFacts
    from guardrails.policy import Policy


def partitions_are_named(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """The parent's index becomes valid only when every partition's is attached."""
    table = facts.table(action.schema, action.table)
    if not isinstance(action, CreatePartitionedIndex) or table is None:
        return
    name = qualified(action.schema, action.table)
    elsewhere = [f"{schema}.{child}" for schema, child, _ in table.partitions if schema != action.schema]
    if deeper := [child for _, child, kind in table.partitions if kind != "r"]:
        yield Finding(
            "nested_partitions",
            "refuse",
            f"{deeper[0]} of {name} is no ordinary table",
            "index each partitioned partition first, or build by hand",
        )
    named, present = set(action.partitions), {child for _, child, _ in table.partitions}
    if elsewhere or named != present:
        which = ", ".join(sorted((named ^ present) or elsewhere))
        yield Finding(
            "partitions_differ",
            "refuse",
            f"the partitions of {name} are not the ones named: {which}",
            "name every partition, all of them in the table's schema",
        )


def index_is_new(action: Action, rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
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


def index_is_there(action: Action, rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, DropIndexConcurrently | ReindexIndexConcurrently):
        return
    name = qualified(action.schema, action.index)
    indexes = facts.indexes_on(action.schema, action.table)
    index = next((one for one in indexes if one.name == action.index), None)
    if index is None:
        yield Finding("unknown_index", "refuse", f"{name} is not an index of the table", "check the spelling")
    elif isinstance(action, DropIndexConcurrently):
        yield from _droppable(action, index)
    else:
        for left in indexes:
            if left.name in rendered.left_over:
                yield Finding(
                    "reindex_remains",
                    "refuse",
                    f"{qualified(left.schema, left.name)} is there, left by an earlier REINDEX CONCURRENTLY",
                    f"DROP INDEX CONCURRENTLY {qualified(left.schema, left.name)}",
                )


def _droppable(action: DropIndexConcurrently, index: IndexFacts) -> Iterator[Finding]:
    name = qualified(action.schema, action.index)
    if index.unique:
        yield Finding("unique_index", "refuse", f"{name} is unique: it guards the data", "keep it")
    described = (
        f"CREATE INDEX {quoted(action.index)} ON {qualified(action.schema, action.table)} USING {action.method}"
        f" ({', '.join(quoted(column) for column in action.columns)})"
    )
    differs = (index.columns, index.method) != (action.columns, action.method) or index.partial
    if differs or index.definition not in (None, described):
        yield Finding(
            "index_differs",
            "refuse",
            f"{name} is not the index described, so it could not be brought back as it was"
            + (f": {index.definition}" if index.definition else ""),
            "describe it by its columns and method; one with expressions, options or a WHERE is dropped by hand",
        )


def session_is_there(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    if not isinstance(action, CancelBackend | TerminateBackend):
        return
    started = datetime.fromisoformat(action.backend_start)
    session = next((one for one in facts.sessions if (one.pid, one.backend_start) == (action.pid, started)), None)
    if session is None:
        yield Finding("unknown_session", "refuse", f"process {action.pid} is gone or is another session", "look again")
        return
    if why := _not_to_be_ended(session):
        yield Finding("protected_session", "refuse", f"process {action.pid} {why}", "ask whoever runs it")
    if not action.query_sha256:
        yield Finding(
            "unnamed_statement",
            "refuse",
            "the action does not say which statement of the session it means",
            "give query_sha256, the SHA-256 of the statement as pg_stat_activity shows it",
        )
    elif session.query_sha256 != action.query_sha256:
        yield Finding(
            "other_statement",
            "refuse",
            f"process {action.pid} does something else by now",
            "look again: what it was to be ended for is over",
        )


def _not_to_be_ended(session: SessionFacts) -> str:
    """Why not; empty when it may be. Ending a worker that prevents wraparound only makes it start again."""
    if session.superuser:
        return "belongs to a superuser, whom pg_signal_backend cannot end"
    if session.ours:
        return "is one of Stanch's own"
    return "" if session.kind == "client backend" else f"is a {session.kind}, not a client's session"


def named_thing_is_there(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """A prepared transaction, a slot, a role, a constraint that is not valid yet."""
    match action:
        case RollbackPrepared():
            what = f"the prepared transaction {action.identifier!r}"
        case DropReplicationSlot():
            what = f"the replication slot {action.slot}"
        case SetRoleSetting():
            what = f"the role {action.role}"
        case ValidateConstraint():
            what = f"a constraint {action.constraint} that waits to be validated"
        case _:
            return
    if facts.there is False:
        yield Finding("unknown_name", "refuse", f"{what} is not there", "look again, and check the spelling")
    if facts.in_use:
        yield Finding("slot_in_use", "refuse", f"{what} has a consumer connected", "stop the consumer first")


def previous_is_known(action: Action, _rendered: Rendered, facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """A rollback that would not bring back what is there now is no rollback."""
    if not isinstance(action, SetStatisticsTarget | SetTableStorage | SetRoleSetting | AlterSystemReload):
        return
    if facts.current is not None and facts.current != str(action.previous):
        now = facts.current or "not set"
        yield Finding(
            "previous_differs",
            "refuse",
            f"the present value is {now}, not {action.previous or 'unset'}: the rollback would set another one",
            "propose it again with the present value",
        )
