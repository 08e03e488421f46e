"""The skills that come with the tree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import yaml
from skills_ref import validate  # type: ignore[import-untyped]  # the reference validator ships no types

from agent.database.checks import CHECKS
from agent.metric_checks import CAUSAL_CHECKS, CHANGE_CHECKS, METRIC_CHECKS
from agent.runbook.files import CASES, DIAGNOSIS, LESSONS, REMEDIATION, SKILL
from agent.runbook.match import pick
from agent.runbook.skill import TOOLS
from agent.runbook.write import canonical, parse
from connectors.runbooks import SEED, skills, texts
from guardrails.action import KINDS

if TYPE_CHECKING:
    from pathlib import Path

FRONT_MATTER_KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
"""Of the Agent Skills specification; another key is refused by its validator."""
MAX_TOKENS = 2_000
CHARS_PER_TOKEN = 4

SKILLS, TEXTS = skills(), texts()
FOLDERS = sorted(path.parent for path in SEED.glob("*/SKILL.md"))


def front_of(folder: Path) -> dict[str, object]:
    front: dict[str, object] = yaml.safe_load((folder / "SKILL.md").read_text(encoding="utf-8").split("---\n", 2)[1])
    return front


def test_there_are_seeds_and_the_generic_one_is_among_them() -> None:
    assert {"generic-triage", "postgres-missing-index"} <= set(SKILLS)
    assert [folder.name for folder in FOLDERS] == list(SKILLS)
    assert {path.name for path in SEED.iterdir() if path.is_dir()} == set(SKILLS), "a folder without SKILL.md"


def test_the_generic_skill_matches_nothing_and_proposes_nothing() -> None:
    generic = SKILLS["generic-triage"]
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
        used = {check.tool for check in SKILLS[folder.name].checks.values()}
        assert used <= set(allowed) <= set(TOOLS)

    def test_its_prose_is_short(self, folder: Path) -> None:
        text = (folder / "SKILL.md").read_text(encoding="utf-8")
        assert math.ceil(len(text) / CHARS_PER_TOKEN) <= MAX_TOKENS

    def test_every_check_it_names_exists(self, folder: Path) -> None:
        skill = SKILLS[folder.name]
        known = {
            "database": set(CHECKS), "metrics": set(METRIC_CHECKS), "changes": CHANGE_CHECKS, "causal": CAUSAL_CHECKS,
        }  # fmt: skip
        for check in skill.checks.values():
            assert check.query in known[check.tool], check.id

    def test_every_action_it_names_is_one_of_the_guardrails(self, folder: Path) -> None:
        assert {fix.action for fix in SKILLS[folder.name].remediations} <= KINDS

    def test_every_check_can_tell_two_causes_apart_or_only_gathers(self, folder: Path) -> None:
        for check in SKILLS[folder.name].checks.values():
            assert check.gathers or len(set(check.yes_given.values())) > 1, check.id

    def test_its_lessons_are_a_list(self, folder: Path) -> None:
        lessons = yaml.safe_load((folder / "references" / "lessons.yaml").read_text(encoding="utf-8"))
        assert isinstance(lessons["lessons"], list)

    def test_it_holds_no_sql_and_no_other_files(self, folder: Path) -> None:
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert found <= {SKILL, DIAGNOSIS, REMEDIATION, LESSONS, CASES}
        assert found >= {SKILL, DIAGNOSIS, REMEDIATION, LESSONS}

    def test_its_reference_files_are_written_as_an_edit_would_write_them(self, folder: Path) -> None:
        assert canonical(TEXTS[folder.name]) == TEXTS[folder.name]

    def test_the_reference_validator_accepts_it(self, folder: Path) -> None:
        assert validate(folder) == []

    def test_it_is_chosen_for_its_alerts_and_not_for_those_that_look_like_them(self, folder: Path) -> None:
        skill, cases = SKILLS[folder.name], parse(TEXTS[folder.name].get(CASES, "{}"))
        assert bool(cases) == bool(skill.matchers), "a skill that matches something says what"
        for labels in cases.get("triggers", ()):
            found = pick(SKILLS.values(), labels, has_target=skill.needs_target)
            assert found is skill, labels
        for labels in cases.get("near_misses", ()):
            assert all(pick(SKILLS.values(), labels, has_target=has) is not skill for has in (True, False)), labels
