"""The closed set of things Stanch can do to a database. Each action renders its own command, cleanup and rollback."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from guardrails.canonical import Json, canonical
from guardrails.sql.identifier import UnusableName, checked, cut, qualified, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_PREFIX = "st_"
"""Every object we create starts so; the target's fence lets only such indexes be dropped."""
_NAME_HASH_LENGTH = 10
_INDEX_KEY_LIMIT = 32  # INDEX_MAX_KEYS
_METHODS = frozenset({"btree", "hash", "gin", "gist", "spgist", "brin"})
_SINGLE_COLUMN_METHODS = frozenset({"hash", "spgist"})


class UnknownAction(ValueError):
    """A kind or parameters outside the closed set; nothing is rendered for it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an action does, statement by statement; each is sent on its own.

    cleanup removes what a failed run leaves; rollback undoes a finished one. Empty means there is nothing to remove,
    or that it cannot be undone. relations are (schema, table); object_name is what gets created, None if nothing.
    """

    steps: tuple[str, ...]
    cleanup_steps: tuple[str, ...]
    rollback_steps: tuple[str, ...]
    relations: tuple[tuple[str, str], ...]
    object_name: str | None

    @property
    def command(self) -> str:
        return _script(self.steps)

    @property
    def cleanup(self) -> str:
        """Empty when a failed run leaves nothing behind."""
        return _script(self.cleanup_steps)

    @property
    def rollback(self) -> str:
        """Empty when the action cannot be undone."""
        return _script(self.rollback_steps)


@dataclass(frozen=True, slots=True)
class CreateIndexConcurrently:
    """Build an index on plain columns of an ordinary table while writes go on."""

    kind: ClassVar[Literal["create_index_concurrently"]] = "create_index_concurrently"
    schema: str
    table: str
    columns: tuple[str, ...]
    method: str = "btree"

    def __post_init__(self) -> None:
        for name in (self.schema, self.table, *self.columns):
            _name(name)
        if not 1 <= len(self.columns) <= _INDEX_KEY_LIMIT:
            raise UnknownAction(f"an index has 1 to {_INDEX_KEY_LIMIT} columns, not {len(self.columns)}")
        if len(set(self.columns)) != len(self.columns):
            raise UnknownAction("a column is named twice")
        if self.method not in _METHODS:
            raise UnknownAction(f"unknown index method {self.method!a}")
        if self.method in _SINGLE_COLUMN_METHODS and len(self.columns) > 1:
            raise UnknownAction(f"a {self.method} index has one column")


Action: TypeAlias = CreateIndexConcurrently

_KINDS: Mapping[str, type[Action]] = {member.kind: member for member in (CreateIndexConcurrently,)}
KINDS: frozenset[str] = frozenset(_KINDS)


def action_to_params(action: Action) -> dict[str, Json]:
    """The action's fields as a JSON object; its kind travels beside it."""
    return {field.name: getattr(action, field.name) for field in fields(action)} | {
        field.name: list(value) for field in fields(action) if isinstance(value := getattr(action, field.name), tuple)
    }


def action_from_params(kind: str, params: Mapping[str, Json]) -> Action:
    """The action that action_to_params() took apart.

    Raises:
        UnknownAction: the kind is not in the closed set, or the parameters are not exactly its own.
    """
    member = _KINDS.get(kind)
    if member is None:
        raise UnknownAction(f"unknown action {kind!a}; known: {', '.join(sorted(KINDS))}")
    return _built(member, params)


def _built(member: type[Action], params: Mapping[str, Json]) -> Action:
    known = {field.name: field for field in fields(member)}
    if unknown := sorted(set(params) - set(known)):
        raise UnknownAction(f"{member.kind} has no parameter {unknown[0]!a}")
    values: dict[str, str | tuple[str, ...]] = {}
    for name, field in known.items():
        if name not in params:
            continue
        values[name] = _typed(name, str(field.type), params[name])
    try:
        return member(**values)  # type: ignore[arg-type]  # _typed() has checked each against its field
    except TypeError as error:
        raise UnknownAction(f"{member.kind}: {error}") from error


def _typed(name: str, type_name: str, value: Json) -> str | tuple[str, ...]:
    match type_name, value:
        case "str", str():
            return value
        case "tuple[str, ...]", list() | tuple():
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
    match action:
        case CreateIndexConcurrently():
            return _create_index(action, proposal_id)


def _create_index(action: CreateIndexConcurrently, proposal_id: str) -> Rendered:
    name = object_name(action, proposal_id, action.table)
    table = qualified(action.schema, action.table)
    method = "" if action.method == "btree" else f" USING {action.method}"
    columns = ", ".join(quoted(column) for column in action.columns)
    index = qualified(action.schema, name)
    return Rendered(
        # Never IF NOT EXISTS: it reports success over an INVALID index (measured on 15).
        steps=(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {table}{method} ({columns})",),
        cleanup_steps=(f"DROP INDEX CONCURRENTLY IF EXISTS {index}",),
        rollback_steps=(f"DROP INDEX CONCURRENTLY {index}",),
        relations=((action.schema, action.table),),
        object_name=name,
    )


def object_name(action: Action, proposal_id: str, about: str) -> str:
    """`st_<10 characters>_<about>`: a second run of the same proposal collides instead of building twice."""
    document: Json = {"proposal": proposal_id, "kind": action.kind, "params": action_to_params(action)}
    hashed = base64.b32encode(hashlib.sha256(canonical(document)).digest()).decode().lower()
    return cut(f"{NAME_PREFIX}{hashed[:_NAME_HASH_LENGTH]}_{about}")


def _name(name: str) -> None:
    try:
        checked(name)
    except UnusableName as error:
        raise UnknownAction(str(error)) from error


def _script(statements: tuple[str, ...]) -> str:
    return ";\n".join(statements)
