"""What every page answers alike: the whole page or the part that changes, the way to the login, a problem in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Request, status
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.context import cookie_of
from service.pages.keys import incident_id
from service.pages.template import page, render, wants_fragment

if TYPE_CHECKING:
    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.context import Context
    from service.identity import Person

NO_INCIDENT = "Incidents are named INC-1, INC-2 and so on. The list has the newest ones; search there."


def respond(
    request: Request, held: Context, person: Person, name: str, values: dict[str, Any], fragment: str = "main"
) -> HTMLResponse:
    """The page `name.html`, or only `name/fragment.html` when the script asks for what changed."""
    csrf = csrf_of(request, held)
    if wants_fragment(request):
        return HTMLResponse(render(f"{name}/{fragment}.html", person=person, csrf=csrf, **values))
    return page(f"{name}.html", person, csrf, **values)


def to_login(request: Request) -> Response:
    """There, and back to what was asked for; the script is told 401 and asks for the whole page."""
    if wants_fragment(request):
        return HTMLResponse("log in first", status.HTTP_401_UNAUTHORIZED)
    readable = request.url.path.removesuffix("/decision")
    asked = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    return RedirectResponse(f"/login?next={quote(readable + asked, safe='/')}", status.HTTP_303_SEE_OTHER)


def problem(
    request: Request, held: Context, person: Person, code: int, title: str, text: str, back: str = ""
) -> HTMLResponse:
    """back: where to go on; the page itself when it is empty."""
    readable = back or request.url.path.removesuffix("/decision")
    return page("problem.html", person, csrf_of(request, held), code, title=title, text=text, back=readable)


def no_incident(request: Request, held: Context, person: Person) -> HTMLResponse:
    return problem(request, held, person, status.HTTP_404_NOT_FOUND, "There is no such incident", NO_INCIDENT,
                   "/incidents")  # fmt: skip


def csrf_of(request: Request, held: Context) -> str:
    cookie = cookie_of(request, held)
    return held.identities.csrf(cookie) if cookie else ""


def find(tx: Transaction, key: str) -> Incident | None:
    number = incident_id(key)
    return None if number is None else tx.incident(number)
