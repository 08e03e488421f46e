"""The skills: what each says, how often it was used, what came of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, status
from fastapi.responses import Response

from service.context import Held, SomePerson
from service.pages.answer import csrf_of, problem, to_login
from service.pages.markdown import inert
from service.pages.template import page

if TYPE_CHECKING:
    from agent.runbook.skill import Skill
    from connectors.store.store import Row

router = APIRouter(tags=["pages"], include_in_schema=False)

UNTESTED = 5
"""Below so many verified ends a share says nothing."""


@router.get("/skills")
def skills(request: Request, held: Held, person: SomePerson) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        counts, used = tx.all("skill_counts"), tx.all("skill_use")
    lines = [_line(skill, counts, used) for skill in held.ports.skills.values()]
    gone = sorted({row["skill"] for row in used if row["skill"]} - set(held.ports.skills))
    return page("skills.html", person, csrf_of(request, held), skills=lines, gone=gone)


@router.get("/skills/{name}")
def one_skill(request: Request, held: Held, person: SomePerson, name: str) -> Response:
    if person is None:
        return to_login(request)
    skill = held.ports.skills.get(name)
    if skill is None:
        text = "Skills are named as their folders are; the list has them all."
        return problem(request, held, person, status.HTTP_404_NOT_FOUND, "There is no such skill", text, "/skills")
    with held.ports.store.transaction() as tx:
        counts, used = tx.all("skill_counts"), tx.all("skill_use")
    rows = [row for row in counts if row["skill"] == name]
    values: dict[str, Any] = {
        "skill": skill,
        "line": _line(skill, counts, used),
        "text": inert(skill.body),
        "checks": [_check(check.id, rows) | {"check": check} for check in skill.checks.values()],
        "causes": [{"cause": cause, "prior": skill.priors()[cause.id]} for cause in skill.causes.values()],
    }
    return page("skill.html", person, csrf_of(request, held), **values)


def _line(skill: Skill, counts: list[Row], used: list[Row]) -> dict[str, Any]:
    """used: incidents it was chosen for; verified, of them ended recovered by its fix."""
    fixes = [row for row in counts if row["skill"] == skill.name and row["name"] == "fix"]
    tried = sum(row["n"] for row in fixes)
    verified = sum(row["n"] for row in fixes if row["outcome"] == "recovered")
    return {
        "name": skill.name,
        "description": skill.description,
        "version": skill.version,
        "sha256": hashlib.sha256(skill.body.encode()).hexdigest(),
        "used": sum(row["n"] for row in used if row["skill"] == skill.name),
        "tried": tried,
        "verified": verified,
        "share": verified / tried if tried >= UNTESTED else None,
    }


def _check(name: str, rows: list[Row]) -> dict[str, int]:
    """How often a check said what in incidents whose cause was confirmed."""
    said = {"yes": 0, "no": 0}
    for row in rows:
        if row["name"] == name and row["outcome"] in said:
            said[row["outcome"]] += row["n"]
    return said
