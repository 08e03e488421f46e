from __future__ import annotations

import hashlib
from typing import Any

import pytest

from agent.runbook.parameters import MissingEvidence, checks_named, gathered, read_sources

ROOT = {"pid": 7, "backend_start": "2026-11-21T12:00:00+00:00", "query": "UPDATE orders SET x = 1"}
EVIDENCE: dict[str, dict[str, Any]] = {
    "lock_waits": {"roots": [ROOT], "pid": 1, "table": {"partitions": [{"name": "a"}, {"name": "b"}]}},
    "other": {"column": "status"},
}


def take(written: Any, names: tuple[str, ...] = ("pid", "column")) -> dict[str, Any]:
    return gathered(read_sources(written), names, EVIDENCE, "lock_waits")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, {"pid": 1}),
        ("roots.0", ROOT),
        ({"pid": "roots.0.pid"}, {"pid": 7}),
        ({"columns": ["roots.0.query", {"value": "x"}]}, {"columns": [ROOT["query"], "x"]}),
        ({"partitions": "table.partitions.*.name"}, {"partitions": ["a", "b"]}),
        ({"column": {"check": "other", "path": "column"}}, {"column": "status"}),
        ({"setting": {"value": "statement_timeout"}}, {"setting": "statement_timeout"}),
    ],
)
def test_a_source_leads_to_its_value(written: Any, expected: dict[str, Any]) -> None:
    assert take(written) == expected


def test_a_query_is_hashed_as_far_as_a_check_keeps_it() -> None:
    source = {"query_sha256": {"sha256_of": "roots.0.query"}}
    assert take(source) == {"query_sha256": hashlib.sha256(str(ROOT["query"]).encode()).hexdigest()}
    long = {"lock_waits": {"roots": [{"query": "x" * 5000}]}}
    found = gathered(read_sources(source), (), long, "lock_waits")
    assert found == {"query_sha256": hashlib.sha256(b"x" * 4000).hexdigest()}


@pytest.mark.parametrize(
    "written",
    ["nowhere", "roots.1.pid", "roots.x", "roots.-1", "roots.0.pid.deeper", {"a": {"check": "unasked", "path": "x"}},
     {"a": {"sha256_of": "roots.0.pid"}}, "roots"],
)  # fmt: skip
def test_a_path_that_leads_nowhere_says_so(written: Any) -> None:
    with pytest.raises(MissingEvidence):
        take(written)


@pytest.mark.parametrize(
    "written", [3, [], "", "a..b", {"a": None}, {"a": {"path": "x"}}, {"a": {"value": 1, "path": "x"}}, {"a": {}}]
)
def test_a_source_in_another_form_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="params"):
        read_sources(written)


def test_every_check_that_is_used_is_named() -> None:
    sources = read_sources({"a": [{"check": "one", "path": "x"}], "b": {"sha256_of": "x", "check": "two"}, "c": "x"})
    assert sorted(checks_named(sources)) == ["one", "two"]
