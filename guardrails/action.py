"""The closed set of things Stanch can do to a database. Each action renders its own command, cleanup and rollback."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias

from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
from guardrails.rendered import NAME_PREFIX, Rendered, UnknownAction
from guardrails.server_action import (
    AlterSystemReload,
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.table_action import (
    AddConstraintNotValid,
    AnalyzeTable,
    CreateStatistics,
    SetStatisticsTarget,
    SetTableStorage,
    VacuumTable,
    ValidateConstraint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrails.canonical import Json
    from guardrails.index_action import Connection

__all__ = [
    "KINDS",
    "NAME_PREFIX",
    "Action",
    "CreateIndexConcurrently",
    "Rendered",
    "UnknownAction",
    "action_from_params",
    "action_to_params",
    "connection_of",
    "parameters_of",
    "render",
]

Action: TypeAlias = (
    CreateIndexConcurrently
    | CreatePartitionedIndex
    | DropIndexConcurrently
    | ReindexIndexConcurrently
    | AnalyzeTable
    | VacuumTable
    | SetStatisticsTarget
    | CreateStatistics
    | SetTableStorage
    | AddConstraintNotValid
    | ValidateConstraint
    | CancelBackend
    | TerminateBackend
    | SetRoleSetting
    | AlterSystemReload
    | RollbackPrepared
    | DropReplicationSlot
)

MEMBERS: tuple[type[Action], ...] = (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
    AnalyzeTable,
    VacuumTable,
    SetStatisticsTarget,
    CreateStatistics,
    SetTableStorage,
    AddConstraintNotValid,
    ValidateConstraint,
    CancelBackend,
    TerminateBackend,
    SetRoleSetting,
    AlterSystemReload,
    RollbackPrepared,
    DropReplicationSlot,
)
_KINDS: Mapping[str, type[Action]] = {member.kind: member for member in MEMBERS}
KINDS: frozenset[str] = frozenset(_KINDS)


def parameters_of(kind: str) -> tuple[str, ...]:
    """The names of an action's parameters; empty for a kind outside the closed set."""
    member = _KINDS.get(kind)
    return () if member is None else tuple(field.name for field in fields(member))


def connection_of(kind: str) -> Connection:
    """Which of a target's writing roles runs it; the fix role for a kind outside the closed set, which nobody runs."""
    member = _KINDS.get(kind)
    return "fix" if member is None else member.connection


def action_to_params(action: Action) -> dict[str, Json]:
    """The action's fields as a JSON object; its kind travels beside it."""
    values = {field.name: getattr(action, field.name) for field in fields(action)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def action_from_params(kind: str, params: Mapping[str, Json]) -> Action:
    """The action that action_to_params() took apart.

    Raises:
        UnknownAction: the kind is not in the closed set, or the parameters are not exactly its own.
    """
    member = _KINDS.get(kind)
    if member is None:
        raise UnknownAction(f"unknown action {kind!a}; known: {', '.join(sorted(KINDS))}")
    known = {field.name: str(field.type) for field in fields(member)}
    if unknown := sorted(set(params) - set(known)):
        raise UnknownAction(f"{member.kind} has no parameter {unknown[0]!a}")
    values: dict[str, Any] = {name: _typed(name, known[name], value) for name, value in params.items()}
    try:
        return member(**values)
    except TypeError as error:  # a parameter is missing
        raise UnknownAction(f"{member.kind}: {error}") from error


def _typed(name: str, type_name: str, value: Json) -> str | int | bool | tuple[str, ...]:
    match value:
        case bool() if type_name == "bool":
            return value
        case str() if type_name == "str":
            return value
        case int() if type_name == "int" and not isinstance(value, bool):
            return value
        case list() | tuple() if type_name == "tuple[str, ...]":
            items = tuple(item for item in value if isinstance(item, str))
            if len(items) == len(value):
                return items
    raise UnknownAction(f"parameter {name} is not a {type_name}")


def render(action: Action, proposal_id: str) -> Rendered:
    """The exact statements of an action; object names follow from the proposal and the parameters alone.

    Raises:
        UnknownAction: the proposal id is empty.
    """
    if not proposal_id:
        raise UnknownAction("a proposal without an id")
    return action.render(proposal_id)
