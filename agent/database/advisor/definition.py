"""An index as a value, and the one place where it becomes SQL: names quoted, expressions from expression.py alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from guardrails.index_action import CreateIndexConcurrently, CreatePartitionedIndex
from guardrails.rendered import object_name
from guardrails.sql.identifier import qualified, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED_AFTER = "advice"
"""Takes the proposal's place in the name: the same advice has the same name, so it cannot be built twice."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an index. sql is what expression.py or quoted() rendered; column None for an expression.

    opclass is rendered too, "" for the type's default. nulls_first None: the direction's default.
    """

    sql: str
    column: str | None
    opclass: str = ""
    descending: bool = False
    nulls_first: bool | None = None

    def written(self) -> str:
        parts = [self.sql if self.column is not None else f"({self.sql})"]
        if self.opclass:
            parts.append(self.opclass)
        if self.descending:
            parts.append("DESC")
        if self.nulls_first is not None and self.nulls_first != self.descending:
            parts.append("NULLS FIRST" if self.nulls_first else "NULLS LAST")
        return " ".join(parts)

    @property
    def plain(self) -> bool:
        return self.column is not None and self.written() == self.sql


def column_key(name: str) -> Key:
    return Key(quoted(name), name)


@dataclass(frozen=True, slots=True)
class Definition:
    """include are plain columns that are no keys. where is a rendered predicate, "" for a complete index; where_key is
    what the predicate compares with a constant.
    """

    schema: str
    table: str
    keys: tuple[Key, ...]
    method: str = "btree"
    include: tuple[str, ...] = ()
    where: str = ""
    where_key: Key | None = None

    @property
    def plain(self) -> bool:
        """Whether the guardrails' own action can build it."""
        return not self.include and not self.where and all(key.plain for key in self.keys)

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys as a person writes them, without direction and operator class; expressions as their text."""
        return tuple(key.column if key.column is not None else key.sql for key in self.keys)

    def named_columns(self) -> frozenset[str]:
        return frozenset([key.column for key in self.keys if key.column is not None] + list(self.include))

    def body(self) -> str:
        using = "" if self.method == "btree" else f" USING {self.method}"
        text = f"{using} ({', '.join(key.written() for key in self.keys)})"
        if self.include:
            text += f" INCLUDE ({', '.join(quoted(name) for name in self.include)})"
        return f"{text} WHERE {self.where}" if self.where else text

    def hypothetical(self) -> str:
        """For HypoPG, which wants it without a name."""
        return f"CREATE INDEX ON {qualified(self.schema, self.table)}{self.body()}"

    def complete(self) -> Definition:
        """The index over all rows of which this one is the part with the predicate's constant; itself if not partial.

        A search reads the same entries of either. HypoPG is asked for this one only: on a partial one it can crash the
        server (HypoPG issue 116, 1.3.1 to 1.4.3).
        """
        if not self.where or self.where_key is None:
            return self
        rest = tuple(key for key in self.keys if key.sql != self.where_key.sql)
        return replace(self, keys=(self.where_key, *rest), where="", where_key=None)

    def part(self, key: Key, predicate: str) -> Definition:
        """The rows for which the predicate holds, which compares one of the keys with a constant."""
        rest = tuple(one for one in self.keys if one.sql != key.sql)
        return replace(self, keys=rest or self.keys, where=predicate, where_key=key)

    def statements(self, leaves: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
        """What builds it while writes go on; each statement is sent on its own, outside a transaction.

        leaves are the leaf partitions of a partitioned table: PostgreSQL has no CONCURRENTLY on the parent, so it is
        built on each and attached. The first of these locks the parent against writes for an instant.
        """
        columns = tuple(key.column for key in self.keys if key.column is not None)
        if not leaves:
            if self.plain:
                return CreateIndexConcurrently(self.schema, self.table, columns, self.method).render(_NAMED_AFTER).steps
            name = self._name(self.table, self.table)
            on = qualified(self.schema, self.table)
            return (f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {on}{self.body()}",)
        if self.plain and all(schema == self.schema for schema, _ in leaves):
            parts = tuple(leaf for _, leaf in leaves)
            action = CreatePartitionedIndex(self.schema, self.table, columns, parts, self.method)
            return action.render(_NAMED_AFTER).steps
        return self._by_partition(leaves)

    def _by_partition(self, leaves: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        name = self._name(self.table, self.table)
        steps = [f"CREATE INDEX {quoted(name)} ON ONLY {qualified(self.schema, self.table)}{self.body()}"]
        for schema, leaf in leaves:
            part = self._name(f"{schema}.{leaf}", leaf)
            steps += [
                f"CREATE INDEX CONCURRENTLY {quoted(part)} ON {qualified(schema, leaf)}{self.body()}",
                f"ALTER INDEX {qualified(self.schema, name)} ATTACH PARTITION {qualified(schema, part)}",
            ]
        return tuple(steps)

    def _name(self, on: str, about: str) -> str:
        params: dict[str, Any] = {"schema": self.schema, "table": self.table, "on": on, "body": self.body()}
        return object_name("create_index_concurrently", params, _NAMED_AFTER, about)
