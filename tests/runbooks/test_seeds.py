"""The skills that come with the tree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import yaml

from agent.database.checks import CHECKS
from agent.runbook.skill import TOOLS
from connectors.runbooks import SEED, skills
from guardrails.action import KINDS

if TYPE_CHECKING:
    from pathlib import Path

FRONT_MATTER_KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
"""Of the Agent Skills specification; another key is refused by its validator."""
MAX_TOKENS = 2_000
CHARS_PER_TOKEN = 4

FOLDERS = sorted(path.parent for path in SEED.glob("*/SKILL.md"))


def front_of(folder: Path) -> dict[str, object]:
    front: dict[str, object] = yaml.safe_load((folder / "SKILL.md").read_text(encoding="utf-8").split("---\n", 2)[1])
    return front


def test_there_are_seeds_and_the_generic_one_is_among_them() -> None:
    assert {"generic-triage", "postgres-missing-index"} <= set(skills())
    assert [folder.name for folder in FOLDERS] == list(skills())
    assert {path.name for path in SEED.iterdir() if path.is_dir()} == set(skills()), "a folder without SKILL.md"


def test_the_generic_skill_matches_nothing_and_proposes_nothing() -> None:
    generic = skills()["generic-triage"]
    assert not generic.matchers
    assert not generic.remediations


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
class TestSeed:
    def test_its_front_matter_is_the_specifications(self, folder: Path) -> None:
        front = front_of(folder)
        assert set(front) <= FRONT_MATTER_KEYS
        assert front["name"] == folder.name
        assert len(folder.name) <= 64
        assert 0 < len(str(front["description"])) <= 1_024
        assert len(str(front.get("compatibility", ""))) <= 500
        metadata = front.get("metadata", {})
        assert isinstance(metadata, dict)
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in metadata.items())

    def test_the_tools_it_allows_are_the_tools_it_uses(self, folder: Path) -> None:
        allowed = str(front_of(folder)["allowed-tools"]).split()
        used = {check.tool for check in skills()[folder.name].checks.values()}
        assert used <= set(allowed) <= set(TOOLS)

    def test_its_prose_is_short(self, folder: Path) -> None:
        text = (folder / "SKILL.md").read_text(encoding="utf-8")
        assert math.ceil(len(text) / CHARS_PER_TOKEN) <= MAX_TOKENS

    def test_every_database_check_it_names_exists(self, folder: Path) -> None:
        skill = skills()[folder.name]
        named = {check.query for check in skill.checks.values() if check.tool == "database"}
        assert named <= set(CHECKS)

    def test_every_action_it_names_is_one_of_the_guardrails(self, folder: Path) -> None:
        assert {fix.action for fix in skills()[folder.name].remediations} <= KINDS

    def test_every_check_can_tell_two_causes_apart_or_only_gathers(self, folder: Path) -> None:
        for check in skills()[folder.name].checks.values():
            assert check.gathers or len(set(check.yes_given.values())) > 1, check.id

    def test_its_lessons_are_a_list(self, folder: Path) -> None:
        lessons = yaml.safe_load((folder / "references" / "lessons.yaml").read_text(encoding="utf-8"))
        assert isinstance(lessons["lessons"], list)

    def test_it_holds_no_sql_and_no_other_files(self, folder: Path) -> None:
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert found == {
            "SKILL.md",
            "references/diagnosis.yaml",
            "references/remediation.yaml",
            "references/lessons.yaml",
        }
