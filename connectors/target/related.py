"""Names the relations that `*` stands for in a lock report, by asking the catalog of a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.named_sql import load
from connectors.target.session import connect, deadline, translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

_RELATED = load("connectors.target", "related.sql")["related"]
_ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Related:
    """A relation, named as regclass writes it; own = a part of a named one: its index, partition or sequence."""

    relation: str
    own: bool


class Catalog:
    """One read-only session that looks names up. Raises Unreachable when opened and asked."""

    def __init__(self, dsn: str) -> None:
        settings = {"default_transaction_read_only": "on", "statement_timeout": "5s", "lock_timeout": "500ms"}
        self._connection = connect(dsn, "the database of --dsn", "stanch-sql-check", settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def related(self, relations: Sequence[str], *, far: bool = False) -> tuple[Related, ...]:
        """Partitions, indexes and their tables, sequences, ends of foreign keys, tables of views.

        far: foreign keys are followed to their ends and views on a relation count, as a cascade would reach them.
        """
        with translated("the database of --dsn"), deadline(self._connection, _ANSWER_TIMEOUT_S):
            found = self._connection.execute(
                _RELATED.encode(), {"names": list(relations), "far": far}, prepare=True
            ).fetchall()
        return tuple(Related(row["relation"], row["own"]) for row in found)
