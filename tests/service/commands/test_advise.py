from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from connectors.unreachable import Unreachable
from service.commands.advise import MAX_LINE_BYTES, advise

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration

_SALES = """
CREATE TABLE public.advised AS SELECT g AS id, g % 9000 AS buyer, g % 3 AS state FROM generate_series(1, 100000) g;
"""


@pytest.fixture(scope="module")
def sales(database: Database) -> str:
    database.run(_SALES)
    database.run("ANALYZE public.advised")
    return database.dsn()


def run(dsn: str, text: bytes, *options: str) -> Result:
    return CliRunner().invoke(advise, ["--dsn", dsn, *options], input=text, catch_exceptions=False)


def answers(dsn: str, *lines: bytes) -> list[dict[str, Any]]:
    result = run(dsn, b"\n".join(lines) + b"\n")
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_answer_has_the_agreed_shape(sales: str) -> None:
    (answer,) = answers(sales, b'{"id": "a", "sql": "SELECT id FROM advised WHERE buyer = $1", "unknown": [1]}')
    assert set(answer) == {"id", "indexes", "seconds", "reason"}
    (index,) = answer["indexes"]
    keys = {"sql", "table", "columns", "estimated_bytes", "validated", "cost_before", "cost_after"}
    assert set(index) == keys
    assert (index["table"], index["columns"]) == ("public.advised", ["buyer"])
    assert index["sql"].startswith("CREATE INDEX CONCURRENTLY st_")
    assert index["sql"].endswith("ON public.advised (buyer)")
    assert index["cost_before"] > 3 * index["cost_after"] > 0


def test_a_bad_line_gets_an_error_and_the_rest_goes_on(sales: str) -> None:
    found = answers(
        sales,
        b"not json",
        b"\xff\xfe",
        b"[]",
        b'{"id":4}',
        b'{"id":5,"sql":7}',
        b"[" * 100_000,
        b'{"id":7,"sql":"' + b"x" * MAX_LINE_BYTES + b'"}',
        b"",
        b'{"id":8,"sql":"SELECT 1; SELECT 2"}',
        b'{"id":9,"sql":"SELECT id FROM advised WHERE buyer = 5"}',
    )
    assert [line.get("id") for line in found] == [None, None, None, 4, 5, None, None, 8, 9]
    assert all("error" in line for line in found[:7])
    assert (found[7]["indexes"], "not understood" in found[7]["reason"]) == ([], True)
    assert found[8]["indexes"]


def test_the_budget_is_for_single_statements_too(sales: str) -> None:
    line = b'{"id":1,"sql":"SELECT id FROM advised WHERE buyer = 5"}\n'
    (answer,) = [json.loads(row) for row in run(sales, line, "--budget-mb", "0.1").stdout.splitlines()]
    assert answer["indexes"] == []


def test_the_text_format_is_for_people_and_shows_no_control_characters(sales: str) -> None:
    result = run(sales, b"SELECT id FROM advised WHERE buyer = 5", "--format", "text")
    assert result.exit_code == 0
    assert "CREATE INDEX CONCURRENTLY" in result.stdout
    refused = run(sales, b'SELECT id FROM "a\x1b[31m" WHERE x = 1', "--format", "text")
    assert refused.stdout.startswith("No index:")
    assert "\x1b" not in refused.stdout


def test_a_workload_is_advised_for_people_and_for_machines(sales: str, database: Database) -> None:
    database.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    database.run("SELECT pg_stat_statements_reset()")
    for _ in range(3):
        database.run("SELECT id FROM public.advised WHERE buyer = 5")
    text = run(sales, b"", "--workload")
    assert "CREATE INDEX CONCURRENTLY" in text.stdout
    assert "helps SELECT id FROM public.advised" in text.stdout
    rows = [json.loads(line) for line in run(sales, b"", "--workload", "--format", "json").stdout.splitlines()]
    assert rows[0]["columns"] == ["buyer"]
    assert {"total_ms", "after_ms", "seconds", "without"} == set(rows[-1])


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(Unreachable) as refused:
        run("host=127.0.0.1 port=1 password=secret", b"")
    assert "secret" not in str(refused.value)


def test_help_has_examples() -> None:
    text = CliRunner().invoke(advise, ["--help"]).stdout
    assert "stanch advise --dsn" in text
    assert "--budget-mb" in text
