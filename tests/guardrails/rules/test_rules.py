from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardrails.rules.registry import RULES
from guardrails.sql.check import check, version_num

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NAMES = sorted(rule.name for rule in RULES)


def fixture(name: str) -> dict[str, list[str]]:
    """`-- objected` and `-- passed`, one example a line; `-- version 14.2` before an example sets the server."""
    sections: dict[str, list[str]] = {}
    section = ""
    pending = ""
    for line in (HERE / f"{name}.sql").read_text(encoding="utf-8").splitlines():
        if line in ("-- objected", "-- passed"):
            section = line[3:]
            sections[section] = []
        elif line.startswith("-- version "):
            pending = line + "\n"
        elif line:
            sections[section].append(pending + line)
            pending = ""
    return sections


def rules_that_spoke(example: str) -> set[str]:
    version = re.match(r"-- version (\S+)\n", example)
    report = check(example, version=version_num(version[1]) if version else None)
    return {finding.rule for finding in report.findings}


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_objects_to_its_examples_and_passes_the_others(name: str) -> None:
    examples = fixture(name)
    assert examples["objected"]
    assert examples["passed"]
    for example in examples["objected"]:
        assert name in rules_that_spoke(example), example
    for example in examples["passed"]:
        spoke = rules_that_spoke(example)
        assert name not in spoke, example
        assert "not_understood" not in spoke, example


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_has_a_page_that_tells_what_to_write_instead(name: str) -> None:
    page = (ROOT / "docs" / "rules" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    for heading in ("## Why", "## Instead", "## Allowed by this rule"):
        assert heading in page


def test_every_rule_file_is_registered_and_every_page_has_its_rule() -> None:
    files = {path.stem for path in (ROOT / "guardrails" / "rules").glob("*.py")} - {"__init__", "rule", "registry"}
    assert files == set(NAMES)
    assert {path.stem for path in (ROOT / "docs" / "rules").glob("*.md")} - {"README"} == set(NAMES)
    assert {path.stem for path in HERE.glob("*.sql")} == set(NAMES)
    assert len(NAMES) == len(RULES)


def test_findings_repeat_names_as_they_were_written_even_with_braces() -> None:
    report = check('ALTER TABLE "Odd {0} {name}" DROP COLUMN "{}"')
    assert any('"{}"' in finding.why for finding in report.findings)
