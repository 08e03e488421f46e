"""The postmortem: what Stanch wrote from its record, what people add to it in versions, and both as a file."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, status
from fastapi.responses import RedirectResponse, Response

from agent.incident import OPEN_STATES
from agent.postmortem import durations_s
from service.context import Context, Held, SomePerson
from service.pages import milestones
from service.pages.answer import csrf_of, find, no_incident, problem, to_login
from service.pages.markdown import inert
from service.pages.origin import Fields, cross_site
from service.pages.template import page
from service.routes import login
from service.routes.approvals import clean

if TYPE_CHECKING:
    from connectors.store.store import Row, Transaction
    from service.identity import Person

router = APIRouter(tags=["pages"], include_in_schema=False)

MOST_CHARS = 20_000
OUTLINE = """## Impact

Who noticed what, and for how long?

## What helped

## What hindered

## Actions

- [ ] what, by when
"""
"""What an empty one begins with. It asks for no person: a cause is a condition, and a person is none."""


@router.get("/i/{key}/postmortem")
def postmortem(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        row = tx.one("postmortem", incident=found.id) if found else None
        edits = tx.all("postmortem_edits", incident=found.id) if found else []
        audit = tx.all("audit_of", incident=found.id, after=0, limit=1000) if found else []
    if found is None:
        return no_incident(request, held, person)
    if row is None:
        return _not_written(request, held, person, found.key)
    values = {
        # The times of now: people may have corrected them after it was written.
        "post": {**row["body"], "seconds": durations_s(found.milestones)},
        "times": milestones.shown(found, audit),
        "may_correct": _may(person) and found.state not in OPEN_STATES,
        "key": found.key,
        "edits": [_told(one) for one in edits],
        "added": inert(edits[0]["body"]) if edits else None,
        "may_edit": _may(person),
    }
    return page("postmortem.html", person, csrf_of(request, held), **values)


@router.get("/i/{key}/postmortem.md")
def postmortem_text(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    """The same as a file."""
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        row = tx.one("postmortem", incident=found.id) if found else None
        edits = tx.all("postmortem_edits", incident=found.id) if found else []
        audit = tx.all("audit_of", incident=found.id, after=0, limit=1000) if found else []
    if found is None or row is None:
        return no_incident(request, held, person)
    text = row["markdown"]
    corrected = [
        f"- {clean(one['data']['note'])} ({one['actor']})" for one in audit if one["action"] == milestones.ACTION
    ]
    if corrected:
        text += "\n---\n\nTimes corrected by people:\n\n" + "\n".join(corrected) + "\n"
    if edits:
        text += f"\n---\n\nAdded by people, revision {edits[0]['revision']}:\n\n{edits[0]['body'].rstrip()}\n"
    headers = {"Content-Disposition": f'attachment; filename="{found.key}.md"'}
    return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)


@router.get("/i/{key}/postmortem/edit")
def edit(request: Request, held: Held, person: SomePerson, key: str) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        row = tx.one("postmortem", incident=found.id) if found else None
        newest = _newest(tx, found.id) if found else None
    if found is None:
        return no_incident(request, held, person)
    if row is None:
        return _not_written(request, held, person, found.key)
    if not _may(person):
        return _not_yours(request, held, person, found.key)
    text, revision = (newest["body"], newest["revision"]) if newest else (OUTLINE, 0)
    return _form(request, held, person, found.key, text, revision)


@router.post("/i/{key}/postmortem/edit")
def save(request: Request, held: Held, person: SomePerson, key: str, form: Fields) -> Response:
    """Another version; the earlier ones stay. 409 when somebody saved one meanwhile, with both to be put together."""
    if person is None:
        return to_login(request)
    if cross_site(request, held.settings.public_url) or not login.csrf_holds(request, held, form):
        return problem(request, held, person, status.HTTP_403_FORBIDDEN, "Nothing was saved", login.OTHER_SITE)
    text, revision = clean(form.get("body", "")).replace("\r\n", "\n"), form.get("revision", "")
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        row = tx.one("postmortem", incident=found.id) if found else None
        if found is None or row is None:
            return no_incident(request, held, person)
        if not _may(person):
            return _not_yours(request, held, person, found.key)
        if not text or len(text) > MOST_CHARS or not re.fullmatch(r"[0-9]{1,6}", revision):
            why = f"Write something, up to {MOST_CHARS:,} characters."
            return _form(request, held, person, found.key, text, 0, why=why, code=status.HTTP_400_BAD_REQUEST)
        saved = tx.one("add_postmortem_edit", incident=found.id, revision=int(revision), person=person.name, body=text)
        if saved is None:
            newest = _newest(tx, found.id)
            return _conflict(request, held, person, found.key, text, newest)
        note = f"postmortem edited, revision {saved['revision']}"
        tx.audit(found.id, person.name, "PostmortemEdited", {"note": note, "revision": saved["revision"]})
    return RedirectResponse(f"/i/{found.key}/postmortem#added", status.HTTP_303_SEE_OTHER)


@router.get("/i/{key}/postmortem/{revision}")
def version(request: Request, held: Held, person: SomePerson, key: str, revision: int) -> Response:
    """One version of what people added, and what it changed."""
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        found = find(tx, key)
        edits = {row["revision"]: row for row in tx.all("postmortem_edits", incident=found.id)} if found else {}
    if found is None or revision not in edits:
        return no_incident(request, held, person)
    before = edits[revision - 1]["body"] if revision - 1 in edits else ""
    changed = _changed(before, edits[revision]["body"])
    values: dict[str, Any] = {"key": found.key, "edit": _told(edits[revision]), "changed": changed}
    return page("postmortem_version.html", person, csrf_of(request, held), **values)


# --- Parts -------------------------------------------------------------------------------------------------------


def _may(person: Person) -> bool:
    return person.may("responder") or person.may("approver")


def _newest(tx: Transaction, incident: int) -> Row | None:
    edits = tx.all("postmortem_edits", incident=incident)
    return edits[0] if edits else None


def _told(row: Row) -> dict[str, Any]:
    return {"revision": row["revision"], "person": row["person"], "at": row["at"].isoformat()}


def _changed(before: str, after: str) -> list[tuple[str, str]]:
    """Lines with what became of each: added, gone or same."""
    kinds = {"+ ": "added", "- ": "gone", "  ": "same"}
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]


def _form(
    request: Request,
    held: Context,
    person: Person,
    key: str,
    text: str,
    revision: int,
    *,
    why: str = "",
    code: int = status.HTTP_200_OK,
    theirs: str | None = None,
) -> Response:
    values = {"key": key, "text": text, "revision": revision, "why": why, "theirs": theirs, "most": MOST_CHARS}
    return page("postmortem_edit.html", person, csrf_of(request, held), code, **values)


def _conflict(request: Request, held: Context, person: Person, key: str, text: str, newest: Row | None) -> Response:
    """Newest None: the form named a revision that never was."""
    if newest is None:
        why = "The form named a version that does not exist; save again."
        return _form(request, held, person, key, text, 0, why=why, code=status.HTTP_409_CONFLICT)
    why = f"{newest['person']} saved revision {newest['revision']} meanwhile. Put the two together."
    return _form(
        request, held, person, key, text, newest["revision"], why=why, code=status.HTTP_409_CONFLICT,
        theirs=newest["body"],
    )  # fmt: skip


def _not_written(request: Request, held: Context, person: Person, key: str) -> Response:
    text = f"{key} has no postmortem yet. It is written when the incident ends or needs a human."
    return problem(request, held, person, status.HTTP_404_NOT_FOUND, "Not written yet", text, f"/i/{key}")


def _not_yours(request: Request, held: Context, person: Person, key: str) -> Response:
    text = f"{person.name} is neither responder nor approver."
    back = f"/i/{key}/postmortem"
    return problem(request, held, person, status.HTTP_403_FORBIDDEN, "You may not edit this", text, back)
