from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from service.commands.sql import MAX_LINE_BYTES, sql

if TYPE_CHECKING:
    from pathlib import Path


def answers(command: str, *lines: str | bytes) -> list[dict[str, Any]]:
    text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
    result = CliRunner().invoke(sql, [command], input=text, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_check_answers_in_the_agreed_shape() -> None:
    request = {"id": "a", "sql": "ALTER TABLE orders DROP COLUMN note", "pg_version": "15", "unknown": [1]}
    (answer,) = answers("check", json.dumps(request))
    assert set(answer) == {"id", "verdict", "findings", "locks", "rewrites"}
    assert answer["verdict"] == "refuse"
    assert {"relation": "orders", "mode": "AccessExclusiveLock"} in answer["locks"]
    assert all(set(finding) == {"rule", "level", "why", "fix"} for finding in answer["findings"])


def test_a_safe_statement_is_allowed_and_its_lock_is_named_as_written() -> None:
    (answer,) = answers("check", '{"id":1,"sql":"CREATE INDEX CONCURRENTLY i ON \\"Odd\\".Orders (a)"}')
    assert answer["verdict"] == "allow"
    assert answer["locks"] == [{"relation": '"Odd".Orders', "mode": "ShareUpdateExclusiveLock"}]


def test_what_is_not_understood_is_bounded_by_everything() -> None:
    (answer,) = answers("check", '{"id":1,"sql":"DO $$ BEGIN END $$"}')
    assert answer["verdict"] == "refuse"
    assert answer["locks"] == [{"relation": "*", "mode": "AccessExclusiveLock"}]


def test_a_migration_tool_s_transaction_refuses_concurrently() -> None:
    request = '{"id":1,"sql":"CREATE INDEX CONCURRENTLY i ON t (a)","in_transaction":true}'
    (answer,) = answers("check", request)
    assert "outside_transaction" in [finding["rule"] for finding in answer["findings"]]


@pytest.mark.parametrize("command", ["check", "readonly"])
def test_a_bad_line_gets_an_error_and_the_rest_goes_on(command: str) -> None:
    found = answers(
        command,
        "not json",
        b"\xff\xfe",
        "[]",
        '{"id":4}',
        '{"id":5,"sql":7}',
        "[" * 100_000,
        b'{"id":7,"sql":"' + b"x" * MAX_LINE_BYTES + b'"}',
        '{"id":8,"sql":"SELECT 1"}',
    )
    assert [set(answer) for answer in found[:7]] == [{"id", "error"}] * 7
    assert found[3]["id"] == 4
    assert (found[7]["id"], found[7]["verdict"]) == (8, "allow")


@pytest.mark.parametrize("extra", ['"pg_version":"next"', '"pg_version":[]', '"in_transaction":"yes"'])
def test_a_bad_field_is_an_error_of_its_line(extra: str) -> None:
    (answer,) = answers("check", f'{{"id":1,"sql":"SELECT 1",{extra}}}')
    assert set(answer) == {"id", "error"}


def test_a_lone_surrogate_comes_back_as_it_came() -> None:
    text = b'{"id":"\\ud800","sql":"SELECT \\udfff"}\n'
    result = CliRunner().invoke(sql, ["readonly"], input=text, catch_exceptions=False)
    assert json.loads(result.stdout)["id"] == "\ud800"
    assert json.loads(result.stdout)["verdict"] == "block"


def test_readonly_says_why_it_blocks() -> None:
    good, bad = answers("readonly", '{"id":1,"sql":"SELECT 1"}', '{"id":2,"sql":"DELETE FROM t"}')
    assert good == {"id": 1, "verdict": "allow", "reason": ""}
    assert bad["verdict"] == "block"
    assert bad["reason"]


def test_the_text_format_exits_1_on_a_refusal_only(tmp_path: Path) -> None:
    migration = tmp_path / "0001.sql"
    migration.write_text("SET lock_timeout = '500ms';\nALTER TABLE orders ADD COLUMN note text;\n", encoding="utf-8")
    result = CliRunner().invoke(sql, ["check", "--format", "text", str(migration)])
    assert result.exit_code == 0
    assert "0001.sql: allowed" in result.stdout
    assert "orders: AccessExclusiveLock" in result.stdout
    migration.write_text("CREATE INDEX i ON orders (note);\n", encoding="utf-8")
    result = CliRunner().invoke(sql, ["check", "--format", "text", str(migration)])
    assert result.exit_code == 1
    assert "instead: CREATE INDEX CONCURRENTLY" in result.stdout


def test_hostile_names_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    migration = tmp_path / "0002.sql"
    migration.write_bytes(b'DROP TABLE "a\x1b[2J";\xff\n')
    result = CliRunner().invoke(sql, ["check", "--format", "text", str(migration)])
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
