"""The audit chain as the store holds it, checked against the heads kept outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardrails.audit import ChainState, Head, SealedRow, verify_chain
from service.loops import audit_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.store.store import Store

PAGE = 5_000


def state(store: Store, heads: Path) -> ChainState:
    """heads: the exported file; when it is not there, a cut tail cannot be found, and only that."""
    return verify_chain(rows(store), last_head(heads))


def rows(store: Store) -> Iterator[SealedRow]:
    after = 0
    while True:
        with store.transaction() as tx:
            page = tx.all("sealed_rows", after=after, limit=PAGE)
        for row in page:
            if row["id"] is not None:
                yield SealedRow(audit_row(row["seq"], row), row["prev"], row["hash"])
            after = row["seq"]
        if len(page) < PAGE:
            return


def last_head(heads: Path) -> Head | None:
    if not heads.is_file():
        return None
    lines = [line for line in heads.read_text(encoding="utf-8").splitlines() if line]
    if not lines:
        return None
    last = json.loads(lines[-1])
    return Head(last["seq"], last["hash"])
