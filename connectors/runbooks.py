"""Reads the skills' folders from disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.runbook.compose import load
from agent.runbook.files import checked
from agent.runbook.skill import Skill, UnusableSkill

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = Path(__file__).resolve().parent.parent / "runbooks"
"""The skills that come with the tree."""


def texts(folder: Path = SEED) -> Mapping[str, Mapping[str, str]]:
    """The files of every skill, by its name and by path within its folder. Raises UnusableSkill for what is no text."""
    return {place.name: read_folder(place) for place in sorted(path.parent for path in folder.glob("*/SKILL.md"))}


def read_folder(place: Path) -> Mapping[str, str]:
    """One skill's files. Raises UnusableSkill."""
    paths = [place / "SKILL.md", *sorted((place / "references").glob("*.*")), *sorted((place / "evals").glob("*.*"))]
    try:
        files = {path.relative_to(place).as_posix(): path.read_bytes().decode() for path in paths}
    except UnicodeDecodeError as error:
        raise UnusableSkill(f"skill {place.name}: not UTF-8 text: {error}") from error
    except OSError as error:
        raise UnusableSkill(f"skill {place.name}: {error.strerror}: {error.filename}") from error
    return checked(place.name, files)


def skills(folder: Path = SEED) -> Mapping[str, Skill]:
    """Skills by name, composed. Raises UnusableSkill for the first that cannot be read."""
    whole, problems = load(texts(folder))
    if problems:
        raise UnusableSkill(next(iter(problems.values())))
    return whole
