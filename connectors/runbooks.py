"""Reads the skills' folders from disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.runbook.skill import Skill, read

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = Path(__file__).resolve().parent.parent / "runbooks"
"""The skills that come with the tree."""


def skills(folder: Path = SEED) -> Mapping[str, Skill]:
    """Skills by name. Raises agent.runbook.skill.UnusableSkill for the first that cannot be read."""
    found = {}
    for place in sorted(path.parent for path in folder.glob("*/SKILL.md")):
        files = {
            str(path.relative_to(place)): path.read_text(encoding="utf-8")
            for path in (place / "SKILL.md", *sorted((place / "references").glob("*.yaml")))
        }
        found[place.name] = read(place.name, files)
    return found
