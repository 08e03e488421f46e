"""The audit chain as the store holds it, checked against the heads kept outside."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from guardrails.audit import AuditRow, ChainState, Head, SealedRow, verify_chain
from service.loops import audit_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.store.store import Store

PAGE = 5_000

_GONE = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for an audit row whose seal is there without it: it matches no hash."""


def state(store: Store, heads: Path) -> ChainState:
    """heads: the exported file; when it is not there, a cut tail cannot be found, and only that.

    Every head counts, not only the last: once a tail was cut, the exporter goes on with the heads of what is left.
    """
    exported = known_heads(heads)
    last = max(exported, key=lambda head: head.seq, default=None)
    wanted = {head.seq for head in exported}
    found: dict[int, str] = {}

    def noted() -> Iterator[SealedRow]:
        for row in rows(store):
            if row.row.seq in wanted:
                found[row.row.seq] = row.hash
            yield row

    chain = verify_chain(noted(), last)
    others = sorted({head.seq for head in exported if found.get(head.seq, head.hash) != head.hash})
    told = tuple(
        f"row {seq} is not the one whose hash was exported: the chain was cut and went on, or was sealed anew"
        for seq in others
        if last is None or seq != last.seq or found[seq] == last.hash
    )
    return replace(chain, problems=chain.problems + told)


def rows(store: Store) -> Iterator[SealedRow]:
    after = 0
    while True:
        with store.transaction() as tx:
            page = tx.all("sealed_rows", after=after, limit=PAGE)
        for row in page:
            gone = AuditRow(row["seq"], _GONE, "", "", None)
            yield SealedRow(gone if row["id"] is None else audit_row(row["seq"], row), row["prev"], row["hash"])
            after = row["seq"]
        if len(page) < PAGE:
            return


def known_heads(heads: Path) -> frozenset[Head]:
    """Empty when nothing was exported. A line that a crash left half written is passed over."""
    if not heads.is_file():
        return frozenset()
    found = set()
    for line in heads.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            known = json.loads(line)
            found.add(Head(int(known["seq"]), str(known["hash"])))
        except (ValueError, KeyError, TypeError):
            continue
    return frozenset(found)
