"""Evidence: what a check saw, stored byte for byte, so that every claim can cite it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.store.store import Claimed, Store, Transaction

Status = Literal["yes", "no", "not_visible", "note"]
MAX_SUMMARY_CHARS = 400


@dataclass(frozen=True, slots=True)
class Found:
    """What one look outside brought. summary: one sentence with figures. data: JSON-ready, no NaN."""

    status: Status
    summary: str
    data: Mapping[str, Any]


def store(tx: Transaction, step: Claimed, name: str, tool: str, found: Found) -> int:
    """The id of the evidence row."""
    body = orjson.dumps(dict(found.data), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    row = tx.one(
        "add_evidence",
        incident=step.incident_id,
        step=step.id,
        fence=step.fence,
        name=name,
        tool=tool,
        status=found.status,
        summary=found.summary.replace("\x00", "\ufffd")[:MAX_SUMMARY_CHARS],
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
    )
    if row is None:
        raise Unreachable("store", "evidence was not stored")
    number: int = row["id"]
    return number


def known(store_: Store, incident_id: int) -> dict[str, dict[str, Any]]:
    """The data of each check's newest evidence, by name."""
    with store_.transaction() as tx:
        rows = tx.all("evidence", incident=incident_id)
    return {row["name"]: orjson.loads(bytes(row["body"])) for row in rows}
