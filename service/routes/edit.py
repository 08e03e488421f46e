"""Edit of a proposed fix: other parameters, judged anew, with a decision of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, status
from fastapi.responses import RedirectResponse, Response

from service import view
from service.context import Context, Held, SomePerson
from service.pages import decision
from service.pages.answer import csrf_of, find, no_incident, problem, to_login
from service.pages.origin import Fields, cross_site
from service.pages.template import page
from service.routes import login
from service.routes.approvals import HTTP, clean
from service.steps.approve import Declined
from service.steps.revise import Edit, revise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)

PREFIX = "param."
MOST_REASON_CHARS = 1000


@router.get("/i/{key}/edit")
def edit(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        fix = view.proposal(tx, found, held.ports.configuration) if found else None
    if found is None:
        return no_incident(request, held, person)
    if fix is None or fix["approval"] is None or fix["approval"]["state"] not in decision.WAITING:
        return _nothing_waits(request, held, person, found.key)
    return _form(request, held, person, found.key, fix, fix["params"])


@router.post("/i/{key}/edit")
def save(request: Request, held: Held, person: SomePerson, key: str, form: Fields) -> Response:
    if person is None:
        return to_login(request)
    if cross_site(request, held.settings.public_url) or not login.csrf_holds(request, held, form):
        return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was changed", login.OTHER_SITE)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        fix = view.proposal(tx, found, held.ports.configuration) if found else None
    if found is None:
        return no_incident(request, held, person)
    if fix is None or fix["approval"] is None:
        return _nothing_waits(request, held, person, found.key)
    wanted = _params(form, fix["params"])
    revision = form.get("revision", "")
    seen = int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 10 else 0  # noqa: PLR2004 digits
    reason = clean(form.get("reason", ""))[:MOST_REASON_CHARS]
    asked = Edit(seen, form.get("digest", ""), wanted, person.name, "dashboard", reason)
    answer = revise(held.runner, held.ports.configuration.rules, fix["approval"]["id"], asked)
    if not isinstance(answer, Declined):
        return RedirectResponse(f"/i/{found.key}?decided=edited", status.HTTP_303_SEE_OTHER)
    if answer.kind == "unusable":
        return _form(request, held, person, found.key, fix, wanted, why=answer.why)
    changed = decision.difference(form, answer.current) if answer.kind == "conflict" else ()
    values = {"key": found.key, "answer": answer, "changed": changed}
    return page("declined.html", person, csrf_of(request, held), HTTP[answer.kind], **values)


def _params(form: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says, in the types that the parameters have now; what is no number stays a text and is refused."""
    return {name: _typed(form.get(PREFIX + name, ""), value) for name, value in known.items()}


def _typed(text: str, known: Any) -> Any:
    text = clean(text)
    match known:
        case bool():
            return text == "yes"
        case int():
            return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 19 else text  # noqa: PLR2004 digits of a bigint
        case list():
            return [line.strip() for line in text.splitlines() if line.strip()]
        case _:
            return text


def _form(
    request: Request,
    held: Context,
    person: Person,
    key: str,
    fix: Mapping[str, Any],
    params: Mapping[str, Any],
    *,
    why: str = "",
) -> Response:
    code = status.HTTP_422_UNPROCESSABLE_CONTENT if why else status.HTTP_200_OK
    fields = [{"name": name, "kind": _kind(fix["params"][name]), "value": value} for name, value in params.items()]
    values = {"key": key, "fix": fix, "fields": fields, "why": why, "prefix": PREFIX}
    return page("edit.html", person, csrf_of(request, held), code, **values)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "yes or no"
        case int():
            return "number"
        case list():
            return "list"
        case _:
            return "text"


def _nothing_waits(request: Request, held: Context, person: Person, key: str) -> Response:
    text = f"{key} has no fix that waits for a decision, so there is nothing to edit."
    return problem(request, held, person, status.HTTP_409_CONFLICT, "Nothing was changed", text, f"/i/{key}")
