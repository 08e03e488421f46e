"""What one statement does, in the words the rules use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from guardrails.sql.lock import UNKNOWN_RELATIONS, LockTaken, Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardrails.sql.lex import Token


@dataclass(frozen=True, slots=True)
class Operation:
    """One effect, for the rules: `add_column` on `orders`, with marks such as `not_null` or `volatile_default`.

    relation is as written, `*` when only the catalog knows it; detail is a name or type the finding repeats; parts are
    pieces of the statement, by name, for the SQL to use instead.
    """

    name: str
    relation: str = UNKNOWN_RELATIONS
    column: str = ""
    detail: str = ""
    marks: frozenset[str] = frozenset()
    parts: tuple[tuple[str, str | tuple[Token, ...]], ...] = ()

    def has(self, *marks: str) -> bool:
        return self.marks.issuperset(marks)


@dataclass(frozen=True, slots=True)
class Statement:
    """kind is the leading words in lower case; locks are not merged yet; creates are relations that are new.

    outside_transaction: PostgreSQL refuses it inside a transaction block. waits: it waits for older transactions.
    """

    kind: str
    locks: tuple[tuple[str, Mode], ...] = ()
    operations: tuple[Operation, ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    creates: tuple[str, ...] = ()
    outside_transaction: bool = False
    waits: bool = False

    def taken(self) -> tuple[LockTaken, ...]:
        """The strongest lock on each relation; new relations are left out, since nobody can wait for them."""
        new = {folded(name) for name in self.creates}
        spelled: dict[str, str] = {}
        best: dict[str, Mode] = {}
        for relation, mode in self.locks:
            key = folded(relation)
            if key in new:
                continue
            spelled.setdefault(key, relation)
            best[key] = max(mode, best.get(key, mode))
        return tuple(LockTaken(spelled[key], mode.spelling) for key, mode in best.items())


@dataclass(slots=True)
class Draft:
    """A statement while it is being read."""

    kind: str
    locks: list[tuple[str, Mode]] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    rewrites: list[str] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    creates: list[str] = field(default_factory=list)
    outside_transaction: bool = False
    waits: bool = False

    def lock(self, relations: Iterable[str] | str, mode: Mode, *, others: Mode | None = None) -> None:
        """Locks the relations; others bounds what the catalog adds (partitions, indexes, both ends of a key)."""
        for relation in (relations,) if isinstance(relations, str) else relations:
            self.locks.append((relation, mode))
        if others is not None:
            self.locks.append((UNKNOWN_RELATIONS, others))

    def does(
        self,
        name: str,
        relation: str = UNKNOWN_RELATIONS,
        *,
        parts: Mapping[str, str | tuple[Token, ...]] | None = None,
        **details: str | frozenset[str],
    ) -> None:
        if parts:
            self.operations.append(replace(Operation(name, relation, parts=tuple(parts.items())), **details))  # type: ignore[arg-type]  # own fields
            return
        self.operations.append(replace(Operation(name, relation), **details))  # type: ignore[arg-type]  # own fields

    def needs(self, major: int, what: str, instead: str) -> None:
        """Servers before this major version do not know what stands here."""
        self.does("newer_syntax", parts={"what": what, "since": str(major), "instead": instead})

    def rewrite(self, relation: str) -> None:
        """The table's file is written anew, and with it the files of indexes we do not see."""
        self.rewrites += [relation, UNKNOWN_RELATIONS]

    def done(self) -> Statement:
        return Statement(
            kind=self.kind,
            locks=tuple(self.locks),
            operations=tuple(self.operations),
            rewrites=tuple(dict.fromkeys(self.rewrites)),
            scans=tuple(dict.fromkeys(self.scans)),
            creates=tuple(self.creates),
            outside_transaction=self.outside_transaction,
            waits=self.waits,
        )


def folded(relation: str) -> str:
    """The name as PostgreSQL compares it: `Orders` and `orders` are one, `"Orders"` is another."""
    if '"' not in relation:
        return relation.lower()
    return ".".join(
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower() for part in _parts(relation)
    )


def _parts(relation: str) -> list[str]:
    parts, current, quoted = [], "", False
    for character in relation:
        if character == '"':
            quoted = not quoted
        if character == "." and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]
