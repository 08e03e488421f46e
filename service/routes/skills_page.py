"""The skills: what each says, its versions and what changed, how often it was used, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, status
from fastapi.responses import Response

from agent.runbook.diff import unified
from agent.runbook.files import digest
from connectors.store.skills import Version
from service.context import Held, SomePerson
from service.pages.answer import csrf_of, problem, to_login
from service.pages.markdown import inert
from service.pages.template import page
from service.routes.skills import problems_of, versions_of

if TYPE_CHECKING:
    from agent.runbook.skill import Skill
    from connectors.store.store import Row

router = APIRouter(tags=["pages"], include_in_schema=False)

UNTESTED = 5
"""Below so many verified ends a share says nothing."""
PROMOTIONS_SHOWN = 20
DIFF_LINES = 600
"""More than anybody reads on a page; `stanch skills diff` has them all."""
_KINDS = {"+": "added", "-": "gone", "@": "place"}
_SOURCES = {"seed": "came with Stanch", "learn": "learned", "human": "written by a person"}


@router.get("/skills")
def skills(request: Request, held: Held, person: SomePerson) -> Response:
    if person is None:
        return to_login(request)
    with held.ports.store.transaction() as tx:
        counts, used = tx.all("skill_counts"), tx.all("skill_use")
    champions, problems = versions_of(held).champions(), problems_of(held)
    lines = [_line(skill, champions.get(skill.name), counts, used) for skill in held.ports.skills.values()]
    gone = sorted({row["skill"] for row in used if row["skill"]} - set(held.ports.skills) - set(problems))
    return page("skills.html", person, csrf_of(request, held), skills=lines, gone=gone, problems=problems)


@router.get("/skills/{name}")
def one_skill(request: Request, held: Held, person: SomePerson, name: str) -> Response:
    if person is None:
        return to_login(request)
    skill = held.ports.skills.get(name)
    versions = versions_of(held)
    history = versions.history(name)
    if skill is None and not history:
        text = "Skills are named as their folders are; the list has them all."
        return problem(request, held, person, status.HTTP_404_NOT_FOUND, "There is no such skill", text, "/skills")
    champion = versions.champions().get(name)
    with held.ports.store.transaction() as tx:
        counts, used = tx.all("skill_counts"), tx.all("skill_use")
    rows = [row for row in counts if row["skill"] == name]
    asked = (request.query_params.get("before", ""), request.query_params.get("after", ""))
    values: dict[str, Any] = {
        "name": name,
        "skill": skill,
        "problem": problems_of(held).get(name),
        "line": None if skill is None else _line(skill, champion, counts, used),
        "text": None if skill is None else inert(skill.body),
        "checks": [_check(check.id, rows) | {"check": check} for check in skill.checks.values()] if skill else [],
        "causes": [{"cause": cause, "prior": skill.priors()[cause.id]} for cause in skill.causes.values()]
        if skill
        else [],
        "versions": history[::-1],
        "champion": champion,
        "promotions": versions.promotions(name, limit=PROMOTIONS_SHOWN),
        "diff": _diff(history, champion, asked),
    }
    return page("skill.html", person, csrf_of(request, held), **values)


def _diff(history: tuple[Version, ...], champion: Version | None, asked: tuple[str, str]) -> dict[str, Any] | None:
    """What was asked for by numbers; else what made the champion out of its parent. None: nothing to compare."""
    by_number = {str(one.version): one for one in history}
    after = by_number.get(asked[1]) or champion
    if after is None:
        return None
    before = by_number.get(asked[0]) or next((one for one in history if one.sha256 == after.parent), None)
    if before is None or before == after:
        return None
    lines = unified(before.files, after.files, (f"version {before.version}", f"version {after.version}"))
    shown = [{"text": line, "kind": _KINDS.get(line[:1], "")} for line in lines[:DIFF_LINES]]
    return {"before": before, "after": after, "lines": shown, "more": max(0, len(lines) - DIFF_LINES)}


def _line(skill: Skill, champion: Version | None, counts: list[Row], used: list[Row]) -> dict[str, Any]:
    """used: incidents it was chosen for; verified, of them ended recovered by its fix. champion None: the skills come
    from no store.
    """
    fixes = [row for row in counts if row["skill"] == skill.name and row["name"] == "fix"]
    tried = sum(row["n"] for row in fixes)
    verified = sum(row["n"] for row in fixes if row["outcome"] == "recovered")
    return {
        "name": skill.name,
        "description": skill.description,
        "version": champion.version if champion else skill.version,
        "sha256": champion.sha256 if champion else skill.pins.get(skill.name, digest({})),
        "source": _SOURCES[champion.source] if champion else "came with Stanch",
        "used": sum(row["n"] for row in used if row["skill"] == skill.name),
        "fixes": bool(skill.remediations),
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
