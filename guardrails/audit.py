"""The audit chain: each row's hash covers the one before, so an edit, a gap or a swap shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guardrails.canonical import Json, UnusableDocument, digest, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

GENESIS = "0" * 64
"""The `prev` of the first row."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What is sealed. incident None = not about one."""

    seq: int
    at: datetime
    actor: str
    action: str
    incident: str | None
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row as the store holds it, with the two hashes the sealer wrote."""

    row: AuditRow
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain as it was copied outside the store."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainState:
    """intact, or broken: problems name the rows, in order. head is the last row that still follows from the first."""

    rows: int
    head: Head | None
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.problems


def seal(prev: str, row: AuditRow) -> str:
    """SHA-256 over the canonical JSON of the row and the hash before it.

    Raises:
        UnusableDocument: the row's data has no canonical form.
    """
    return digest(
        {
            "prev": prev,
            "seq": row.seq,
            "at": timestamp(row.at),
            "actor": row.actor,
            "action": row.action,
            "incident": row.incident,
            "data": row.data,
        }
    )


def verify_chain(rows: Iterable[SealedRow], head: Head | None) -> ChainState:
    """Checks every link from the first row on, and the exported head if there is one.

    Only the head outside the store finds a chain whose tail was cut, or which was sealed anew as a whole.
    """
    problems: list[str] = []
    prev, seq, count = GENESIS, 0, 0
    good: Head | None = None
    at_head: str | None = None
    for sealed in rows:
        count += 1
        problems += _problems_of(sealed, prev, seq)
        prev, seq = sealed.hash, sealed.row.seq
        if not problems:
            good = Head(seq, prev)
        if head is not None and seq == head.seq:
            at_head = sealed.hash
    if head is not None and at_head != head.hash:
        problems.append(
            f"row {head.seq} of the exported head is missing: the chain was cut"
            if at_head is None
            else f"row {head.seq} is not the one whose hash was exported: the chain was sealed anew"
        )
    return ChainState(count, good, tuple(problems))


def _problems_of(sealed: SealedRow, prev: str, last_seq: int) -> list[str]:
    seq = sealed.row.seq
    problems: list[str] = []
    if seq <= last_seq:
        problems.append(f"row {seq} comes after row {last_seq}: reordered")
    elif seq != last_seq + 1:
        problems.append(f"row {seq} follows row {last_seq}: {seq - last_seq - 1} rows are missing")
    if sealed.prev != prev:
        problems.append(f"row {seq} does not continue from the row before it")
    try:
        expected = seal(sealed.prev, sealed.row)
    except UnusableDocument:
        expected = ""
    if expected != sealed.hash:
        problems.append(f"row {seq} was edited: its content does not match its hash")
    return problems
