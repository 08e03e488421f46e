from __future__ import annotations

import re
from pathlib import Path

import pglast
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


WRITTEN_OUT = (
    "check_without_not_valid",
    "column_with_foreign_key",
    "detach_without_concurrently",
    "drop_index_without_concurrently",
    "foreign_key_index",
    "foreign_key_without_not_valid",
    "index_without_concurrently",
    "not_null_constraint",
    "numbered_column",
    "primary_key_constraint",
    "refresh_without_concurrently",
    "reindex_without_concurrently",
    "required_column",
    "set_not_null",
    "unique_constraint",
    "vacuum_full",
    "volatile_default",
)


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_what_a_finding_tells_to_use_instead_is_sql_that_passes(name: str) -> None:
    for example in fixture(name)["objected"]:
        for finding in check(example).findings:
            if finding.rule == name:
                assert pglast.parse_sql(finding.fix), finding.fix
                assert check(finding.fix).verdict == "allow", finding.fix


def test_names_in_what_to_use_instead_are_those_of_the_statement() -> None:
    (finding, *_) = check('ALTER TABLE app."Odd one" ADD UNIQUE NULLS NOT DISTINCT ("A", b) DEFERRABLE').findings
    assert finding.fix == (
        'CREATE UNIQUE INDEX CONCURRENTLY "Odd one_A_b_key" ON app."Odd one" ("A", b) NULLS NOT DISTINCT; '
        'ALTER TABLE app."Odd one" ADD CONSTRAINT "Odd one_A_b_key" UNIQUE USING INDEX "Odd one_A_b_key" DEFERRABLE;'
    )


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
