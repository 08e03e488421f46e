"""The audit trail: searched, exported, and its chain followed from the first row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from service import chain
from service.context import Context, Held, SomePerson
from service.pages.answer import respond, to_login
from service.pages.keys import incident_id
from service.pages.template import render
from service.routes.overview import Text, cell, pattern, plain

if TYPE_CHECKING:
    from connectors.store.store import Row, Transaction
    from guardrails.audit import ChainState

router = APIRouter(tags=["pages"], include_in_schema=False)

PAGE = 100
EXPORT_PAGE = 2000
CHAIN_AGE_S = 300.0
"""Following the chain reads every row; nobody needs it more often."""
ACTIONS_AGE_S = 60.0
Format = Literal["csv", "jsonl"]


def asked(
    q: Text = "", incident: Text = "", actor: Text = "", action: Text = "", since: Text = "", until: Text = ""
) -> dict[str, str]:
    """As it stands in the form; what is empty asks for nothing."""
    named = {"q": q, "incident": incident, "actor": actor, "action": action, "since": since, "until": until}
    return {name: value.replace("\x00", "").strip() for name, value in named.items()}


Asked = Annotated[dict[str, str], Depends(asked)]


def _params(wanted: dict[str, str]) -> dict[str, Any]:
    number = wanted["incident"].upper()
    return {
        "text": pattern(plain(wanted["q"])),
        # A name that is none is asked for all the same: it has no rows, and an empty answer is the true one.
        "incident": (incident_id(number) or -1) if number else None,
        "actor": plain(wanted["actor"]),
        "action": plain(wanted["action"]),
        "since": _day(wanted["since"]),
        "until": _day(wanted["until"], days=1),
    }


def _day(text: str, days: int = 0) -> datetime | None:
    """Midnight UTC of a day in a form, so many days on; None for nothing and for what is no day."""
    try:
        return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


@router.get("/audit")
def audit(
    request: Request,
    held: Held,
    person: SomePerson,
    wanted: Asked,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    verify: str = "",
) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        rows = tx.all("audit_found", before=before, limit=PAGE + 1, **_params(wanted))
        actions = held.recent.get("audit actions", ACTIONS_AGE_S, lambda: _actions(tx))
        head = tx.one("seal_head")
    given = {name: value for name, value in wanted.items() if value}
    last = rows[PAGE - 1]["id"] if len(rows) > PAGE else None
    values = {
        "rows": [_line(row) for row in rows[:PAGE]],
        "wanted": wanted,
        "actions": actions,
        "query": urlencode(given),
        "further": urlencode(given | {"before": last}) if last else "",
        "head": None if head is None else {**head, "at": head["at"].isoformat()},
        "chain": _chain(held) if verify else None,
    }
    return respond(request, held, person, "audit", values, "rows")


@router.get("/audit/chain")
def followed(request: Request, held: Held, person: SomePerson) -> Response:
    """The part of the page that says whether the chain is intact."""
    if person is None:
        return to_login(request)
    return HTMLResponse(render("audit/chain.html", chain=_chain(held)))


@router.get("/audit/export")
def export(
    request: Request, held: Held, person: SomePerson, wanted: Asked, kind: Annotated[Format, Query(alias="format")]
) -> Response:
    """All rows that match, newest first, as they are read: nothing is held back in memory."""
    if person is None:
        return to_login(request)
    told = _csv(held, wanted) if kind == "csv" else _json_lines(held, wanted)
    media = "text/csv" if kind == "csv" else "application/jsonl"
    headers = {"Content-Disposition": f'attachment; filename="audit.{kind}"'}
    return StreamingResponse(told, media_type=f"{media}; charset=utf-8", headers=headers)


def _chain(held: Context) -> dict[str, Any]:
    def make() -> dict[str, Any]:
        found: ChainState = chain.state(held.ports.store, held.ports.data_dir / "audit" / "audit-heads.jsonl")
        return {"rows": found.rows, "intact": found.intact, "problems": found.problems[:20],
                "more": max(0, len(found.problems) - 20), "head": found.head,
                "at": datetime.now(UTC).isoformat()}  # fmt: skip

    found: dict[str, Any] = held.recent.get("chain", CHAIN_AGE_S, make)
    return found


def _actions(tx: Transaction) -> list[str]:
    return [row["action"] for row in tx.all("audit_actions")]


def _line(row: Row) -> dict[str, Any]:
    data = row["data"]
    return {
        "seq": row["seq"],
        "at": row["at"].isoformat(),
        "incident": None if row["incident_id"] is None else f"INC-{row['incident_id']}",
        "actor": row["actor"],
        "action": row["action"],
        "note": data.get("note", ""),
        "channel": data.get("channel", ""),
        "reason": data.get("reason") or "",
        "revision": data.get("revision"),
        "from": data.get("from"),
        "to": data.get("to"),
        "hash": row["hash"],
    }


def _pages(held: Context, wanted: dict[str, str]) -> Iterator[list[Row]]:
    before = None
    while True:
        with held.ports.store.transaction() as tx:
            rows = tx.all("audit_found", before=before, limit=EXPORT_PAGE, **_params(wanted))
        yield rows
        if len(rows) < EXPORT_PAGE:
            return
        before = rows[-1]["id"]


def _json_lines(held: Context, wanted: dict[str, str]) -> Iterator[bytes]:
    for rows in _pages(held, wanted):
        yield b"".join(orjson.dumps({**_line(row), "data": row["data"]}) + b"\n" for row in rows)


def _csv(held: Context, wanted: dict[str, str]) -> Iterator[str]:
    columns = ("seq", "at", "incident", "actor", "action", "note", "channel", "reason", "revision", "from", "to",
               "hash")  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    for rows in _pages(held, wanted):
        writer.writerows({name: cell(value) for name, value in _line(row).items()} for row in rows)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
