"""The skills over HTTP: which text is in use, every text there was, and the way back to an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, status
from pydantic import BaseModel, ConfigDict, Field

from agent.runbook.skill import UnusableSkill
from connectors.store.skills import SkillVersions, UnknownVersion, Version
from service.context import Context, Held, KnownPerson, require
from service.routes.approvals import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/api/v1", tags=["skills"])

Name = Annotated[str, Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Ref = Annotated[str, Path(pattern=r"^([1-9][0-9]{0,8}|[0-9a-f]{6,64})$")]


def versions_of(held: Context) -> SkillVersions:
    return SkillVersions(held.ports.store)


def problems_of(held: Context) -> Mapping[str, str]:
    """Why a skill is not in use, by name; skills that come from no store have none."""
    return dict(getattr(held.ports.skills, "problems", {}))


@router.get("/skills")
def skills(held: Held, person: KnownPerson) -> dict[str, Any]:  # noqa: ARG001 its presence is the check
    """Every skill in use with its version, and why others are not."""
    champions = versions_of(held).champions()
    found = []
    for name, skill in sorted(held.ports.skills.items()):
        stored = champions.get(name)
        found.append(
            {
                "name": name,
                "description": skill.description,
                "version": stored.version if stored else None,
                "sha256": stored.sha256 if stored else None,
                "source": stored.source if stored else "seed",
                "causes": list(skill.causes),
                "checks": list(skill.checks),
                "composed_with": list(skill.composed_with),
            }
        )
    return {"skills": found, "problems": problems_of(held)}


@router.get("/skills/{name}")
def skill(held: Held, person: KnownPerson, name: Name) -> dict[str, Any]:  # noqa: ARG001
    """Every version of one skill, oldest first, and when each came into use, newest first. 404: there never was one."""
    versions = versions_of(held)
    history, champion = versions.history(name), versions.champions().get(name)
    if not history:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no skill {name}; GET /api/v1/skills lists them")
    return {
        "name": name,
        "champion": champion.sha256 if champion else None,
        "versions": [brief(one) for one in history],
        "promotions": [
            {"sha256": one.sha256, "version": one.version, "person": one.person, "at": one.at.isoformat()}
            for one in versions.promotions(name)
        ],
        "problem": problems_of(held).get(name),
    }


@router.get("/skills/{name}/versions/{ref}")
def version(held: Held, person: KnownPerson, name: Name, ref: Ref) -> dict[str, Any]:  # noqa: ARG001
    """One version with its files. ref: its number, or the beginning of its sha256."""
    found = _found(versions_of(held), name, ref)
    return {**brief(found), "files": dict(found.files)}


class Promotion(BaseModel):
    """to: number or beginning of the sha256 of a version there is."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(pattern=r"^([1-9][0-9]{0,8}|[0-9a-f]{6,64})$")
    reason: str = Field(min_length=1, max_length=1000)


@router.post("/skills/{name}/promotion")
def promote(held: Held, person: KnownPerson, name: Name, body: Promotion) -> dict[str, Any]:
    """Brings a version into use for new incidents. It changes what the agent does, so it takes an admin. 409: that text
    cannot be read, so nothing could run on it.
    """
    require(person, "admin")
    versions = versions_of(held)
    found = _found(versions, name, body.to)
    try:
        versions.check(found)
    except UnusableSkill as error:
        raise HTTPException(status.HTTP_409_CONFLICT, f"{error}; nothing has changed") from error
    versions.promote(name, found.sha256, person=person.name, note=clean(body.reason))
    return brief(found)


def brief(one: Version) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "sha256": one.sha256,
        "parent": one.parent,
        "source": one.source,
        "note": one.note,
        "created_at": one.created_at.isoformat(),
    }


def _found(versions: SkillVersions, name: str, ref: str) -> Version:
    try:
        return versions.find(name, ref)
    except UnknownVersion as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, str(error)) from error
