"""Actions on indexes, all of them without stopping the writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from guardrails.rendered import Rendered, UnknownAction, check_names, object_name
from guardrails.sql.identifier import NAME_BYTES, cut, literal, qualified, quoted
from guardrails.sql.lock import Mode

Connection = Literal["fix", "signal", "admin"]

_INDEX_KEY_LIMIT = 32  # INDEX_MAX_KEYS
_METHODS = frozenset({"btree", "hash", "gin", "gist", "spgist", "brin"})
_SINGLE_COLUMN_METHODS = frozenset({"hash", "spgist"})
REINDEX_SUFFIXES = ("_ccnew", "_ccold")
"""What REINDEX CONCURRENTLY calls the index it builds, and the one it replaced but has not dropped yet."""


def _check_columns(columns: tuple[str, ...], method: str) -> None:
    check_names(*columns)
    if not 1 <= len(columns) <= _INDEX_KEY_LIMIT:
        raise UnknownAction(f"an index has 1 to {_INDEX_KEY_LIMIT} columns, not {len(columns)}")
    if len(set(columns)) != len(columns):
        raise UnknownAction("a column is named twice")
    if method not in _METHODS:
        raise UnknownAction(f"unknown index method {method!a}")
    if method in _SINGLE_COLUMN_METHODS and len(columns) > 1:
        raise UnknownAction(f"a {method} index has one column")


def _keys(columns: tuple[str, ...], method: str) -> str:
    using = "" if method == "btree" else f" USING {method}"
    return f"{using} ({', '.join(quoted(column) for column in columns)})"


def _is_valid(index: str) -> str:
    return (
        "SELECT COALESCE((SELECT indisvalid AND indisready FROM pg_catalog.pg_index"  # noqa: S608 names are quoted
        f" WHERE indexrelid = pg_catalog.to_regclass({literal(index)})), false)"
    )


def _is_gone(index: str) -> str:
    return f"SELECT pg_catalog.to_regclass({literal(index)}) IS NULL"


@dataclass(frozen=True, slots=True)
class CreateIndexConcurrently:
    """Build an index on plain columns of an ordinary table while writes go on."""

    kind: ClassVar[Literal["create_index_concurrently"]] = "create_index_concurrently"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    columns: tuple[str, ...]
    method: str = "btree"

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        _check_columns(self.columns, self.method)

    def render(self, proposal_id: str) -> Rendered:
        params = {"schema": self.schema, "table": self.table, "columns": list(self.columns), "method": self.method}
        name = object_name(self.kind, params, proposal_id, self.table)
        index = qualified(self.schema, name)
        table = qualified(self.schema, self.table)
        return Rendered(
            # Never IF NOT EXISTS: it reports success over an INVALID index (measured on 15).
            steps=(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {table}{_keys(self.columns, self.method)}",),
            cleanup_steps=(f"DROP INDEX CONCURRENTLY IF EXISTS {index}",),
            rollback_steps=(f"DROP INDEX CONCURRENTLY {index}",),
            relations=((self.schema, self.table),),
            object_name=name,
            proof=_is_valid(index),
            left_over=(name,),
        )


@dataclass(frozen=True, slots=True)
class CreatePartitionedIndex:
    """The same for a partitioned table whose leaf partitions are named: build on each, then attach.

    The first step locks the parent against writes for an instant, since ON ONLY builds nothing.
    """

    kind: ClassVar[Literal["create_partitioned_index"]] = "create_partitioned_index"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE
    schema: str
    table: str
    columns: tuple[str, ...]
    partitions: tuple[str, ...]
    method: str = "btree"

    def __post_init__(self) -> None:
        check_names(self.schema, self.table, *self.partitions)
        _check_columns(self.columns, self.method)
        if not self.partitions or len(set(self.partitions)) != len(self.partitions):
            raise UnknownAction("name each leaf partition once")

    def render(self, proposal_id: str) -> Rendered:
        params = {
            "schema": self.schema,
            "table": self.table,
            "columns": list(self.columns),
            "partitions": list(self.partitions),
            "method": self.method,
        }
        keys = _keys(self.columns, self.method)
        name = object_name(self.kind, params, proposal_id, self.table)
        index = qualified(self.schema, name)
        leaves = [(leaf, object_name(self.kind, params, f"{proposal_id}/{leaf}", leaf)) for leaf in self.partitions]
        steps = [f"CREATE INDEX {quoted(name)} ON ONLY {qualified(self.schema, self.table)}{keys}"]
        for leaf, leaf_name in leaves:
            on = qualified(self.schema, leaf)
            steps += [
                f"CREATE INDEX CONCURRENTLY {quoted(leaf_name)} ON {on}{keys}",
                f"ALTER INDEX {index} ATTACH PARTITION {qualified(self.schema, leaf_name)}",
            ]
        return Rendered(
            steps=tuple(steps),
            # Attached indexes go with their parent; only the others are left to drop one by one.
            cleanup_steps=(
                f"DROP INDEX IF EXISTS {index}",
                *(f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(self.schema, leaf)}" for _, leaf in leaves),
            ),
            rollback_steps=(f"DROP INDEX {index}",),
            relations=((self.schema, self.table), *((self.schema, leaf) for leaf in self.partitions)),
            object_name=name,
            proof=_is_valid(index),
            left_over=(name, *(leaf for _, leaf in leaves)),
        )


@dataclass(frozen=True, slots=True)
class DropIndexConcurrently:
    """Drop an index on plain columns that is neither unique nor a constraint; columns and method bring it back."""

    kind: ClassVar[Literal["drop_index_concurrently"]] = "drop_index_concurrently"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.ACCESS_EXCLUSIVE
    schema: str
    table: str
    index: str
    columns: tuple[str, ...]
    method: str = "btree"

    def __post_init__(self) -> None:
        check_names(self.schema, self.table, self.index)
        _check_columns(self.columns, self.method)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing is made
        index = qualified(self.schema, self.index)
        table = qualified(self.schema, self.table)
        return Rendered(
            steps=(f"DROP INDEX CONCURRENTLY {index}",),
            cleanup_steps=(f"DROP INDEX CONCURRENTLY IF EXISTS {index}",),
            rollback_steps=(
                f"CREATE INDEX CONCURRENTLY {quoted(self.index)} ON {table}{_keys(self.columns, self.method)}",
            ),
            relations=((self.schema, self.table),),
            object_name=None,
            proof=_is_gone(index),
            left_over=(self.index,),
        )


@dataclass(frozen=True, slots=True)
class ReindexIndexConcurrently:
    """Rebuild a bloated index. It cannot be undone, and need not be."""

    kind: ClassVar[Literal["reindex_index_concurrently"]] = "reindex_index_concurrently"
    connection: ClassVar[Connection] = "fix"
    strongest: ClassVar[Mode] = Mode.SHARE_UPDATE_EXCLUSIVE
    schema: str
    table: str
    index: str

    def __post_init__(self) -> None:
        check_names(self.schema, self.table, self.index)

    def render(self, proposal_id: str) -> Rendered:
        del proposal_id  # nothing of ours is made
        index = qualified(self.schema, self.index)
        # PostgreSQL makes room for its suffix by cutting the name (makeObjectName).
        left_over = tuple(cut(self.index, NAME_BYTES - len(suffix)) + suffix for suffix in REINDEX_SUFFIXES)
        return Rendered(
            steps=(f"REINDEX INDEX CONCURRENTLY {index}",),
            cleanup_steps=tuple(
                f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(self.schema, name)}" for name in left_over
            ),
            rollback_steps=(),
            relations=((self.schema, self.table),),
            object_name=None,
            proof=_is_valid(index),
            left_over=left_over,
        )
