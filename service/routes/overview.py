"""The overview, the list of incidents, and the same figures for machines."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, status
from fastapi.responses import JSONResponse, RedirectResponse, Response

from agent.incident import OPEN_STATES, IncidentState
from agent.postmortem import durations_s
from connectors.store.store import incident_from_row
from service.context import Held, KnownPerson, SomePerson
from service.pages import figures, overview
from service.pages.answer import respond, to_login
from service.pages.figures import Asked
from service.pages.keys import incident_id

if TYPE_CHECKING:
    from agent.incident import Incident

router = APIRouter()

PAGE = 50
MOST_CHARS = 200
STATES = {"open": sorted(OPEN_STATES), "over": sorted(set(IncidentState) - OPEN_STATES)}

Text = Annotated[str, Query(max_length=MOST_CHARS)]


def asked(days: str = "", service: Text = "", severity: Text = "") -> Asked:
    """From the address; what cannot be meant is as usual."""
    known = int(days) if days.isascii() and days.isdigit() and len(days) < 4 else figures.USUAL_DAYS  # noqa: PLR2004
    return Asked(known if known in figures.DAYS else figures.USUAL_DAYS, plain(service), plain(severity))


def plain(text: str) -> str | None:
    """None for nothing; without NUL, which no text of the store holds."""
    return text.replace("\x00", "").strip() or None


def pattern(text: str | None) -> str | None:
    """A LIKE pattern for whatever holds the text."""
    return None if text is None else "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


@router.get("/", include_in_schema=False)
def home(request: Request, held: Held, person: SomePerson, wanted: Annotated[Asked, Depends(asked)]) -> Response:
    if person is None:
        return to_login(request)
    fragment = request.headers.get("x-fragment", "") or request.query_params.get("fragment", "")
    with held.ports.store.transaction() as tx:
        match fragment:
            case "":
                values = overview.read(tx, held, person, wanted)
            case "figures":
                values = overview.counted(tx, held, wanted)
            case _:
                values = overview.live(tx, held, person)
    return respond(request, held, person, "overview", values, "figures" if fragment == "figures" else "main")


@router.get("/incidents", include_in_schema=False)
def listed(
    request: Request,
    held: Held,
    person: SomePerson,
    q: Text = "",
    state: Text = "",
    service: Text = "",
    severity: Text = "",
    cause: Text = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """Newest first. q: text of the title, or a name like INC-12, which leads straight there."""
    if person is None:
        return to_login(request)
    number = incident_id(q.strip().upper())
    if number is not None:
        return RedirectResponse(f"/i/INC-{number}", status.HTTP_303_SEE_OTHER)
    wanted = {"service": plain(service), "severity": plain(severity), "cause": plain(cause)}
    with held.ports.store.transaction() as tx:
        rows = tx.all(
            "search_incidents", text=pattern(plain(q)), states=_states(state), before=before, limit=PAGE + 1, **wanted
        )
        facets = overview.facets(tx, held)
    last = rows[PAGE - 1]["id"] if len(rows) > PAGE else None
    further = {"q": q.strip(), "state": state, **wanted, "before": last}
    values: dict[str, Any] = {
        "lines": [overview.line(row) for row in rows[:PAGE]],
        "next": last,
        "further": urlencode({name: value for name, value in further.items() if value}),
        "q": q.strip(),
        "state": state,
        "states": (*STATES, *IncidentState),
        "facets": facets,
        "wanted": wanted,
    }
    return respond(request, held, person, "incidents", values, "rows")


def _states(state: str) -> list[str] | None:
    if state in STATES:
        return list(map(str, STATES[state]))
    return [state] if state in set(IncidentState) else None


# --- For machines ------------------------------------------------------------------------------------------------

Window = Annotated[int | None, Query(ge=1, le=3650)]
Limit = Annotated[int, Query(ge=1, le=10_000)]
ALL_DAYS = 36_500
COLUMNS = ("detect", "diagnose", "propose", "wait", "execute", "verify", "restore")


@router.get("/api/v1/ttr", tags=["incidents"])
def ttr(
    held: Held,
    person: KnownPerson,  # noqa: ARG001 its presence is the check
    days: Window = None,
    service: Annotated[str | None, Query(max_length=MOST_CHARS)] = None,
    severity: Annotated[str | None, Query(max_length=MOST_CHARS)] = None,
    limit: Limit = 1000,
) -> JSONResponse:
    """Time to restore: restored minus impact start, one row an incident; null while it is open. Seconds.

    Beside the rows the figures of the overview, with the mean that it does not show. days: of incidents opened since;
    without it all there are.
    """
    wanted = Asked(days or ALL_DAYS, service, severity)
    with held.ports.store.transaction() as tx:
        now = tx.now()
        found = figures.read(tx, wanted, now)
        rows = _rows(tx.all("ttr_rows", since=found.since, service=service, severity=severity, limit=limit))
    return JSONResponse(figures.as_data(found) | {"incidents": rows})


@router.get("/api/v1/ttr.csv", tags=["incidents"])
def ttr_csv(
    held: Held,
    person: KnownPerson,  # noqa: ARG001 its presence is the check
    days: Window = None,
    service: Annotated[str | None, Query(max_length=MOST_CHARS)] = None,
    severity: Annotated[str | None, Query(max_length=MOST_CHARS)] = None,
    limit: Limit = 10_000,
) -> Response:
    """The same rows for a spreadsheet."""
    wanted = Asked(days or ALL_DAYS, service, severity)
    with held.ports.store.transaction() as tx:
        since = figures.since(wanted, tx.now())
        rows = _rows(tx.all("ttr_rows", since=since, service=service, severity=severity, limit=limit))
    return csv_file("time-to-restore.csv", rows)


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_row(incident_from_row(row)) for row in rows]


def _row(one: Incident) -> dict[str, Any]:
    cause = one.working.conclusion.cause if one.working.conclusion else None
    return {
        "id": one.key, "outcome": one.outcome, "state": one.state, "service": one.service, "severity": one.severity,
        "cause": cause, "opened_at": one.opened_at.isoformat(), **durations_s(one.milestones),
    }  # fmt: skip


def csv_file(name: str, rows: list[dict[str, Any]]) -> Response:
    """A download. A cell that a spreadsheet would take for a formula is text in it.

    Source: OWASP, CSV Injection.
    """
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


_FORMULA = re.compile(r"(?:^(?=[\t\r\n])|(?<![^;])(?=[=+\-@\uff1d\uff0b\uff0d\uff20]))")
"""Where a cell begins that would be reckoned: some spreadsheets also part cells at semicolons, and know wide signs."""


def cell(value: object) -> object:
    return _FORMULA.sub("'", value) if isinstance(value, str) else value
