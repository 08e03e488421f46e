from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.sql.check import MAX_STATEMENTS, UnusableVersion, check, version_num
from guardrails.sql.lex import lex
from tests.guardrails.sql.lock_cases import CASES

WORDS = sorted({token.text for case in CASES for token in lex(case)})


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A real statement with words dropped, doubled and put in from others."""
    words = [token.text for token in lex(draw(st.sampled_from(CASES)))]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(words)))
        match draw(st.sampled_from(["insert", "drop", "cut"])):
            case "insert":
                words.insert(place, draw(st.sampled_from(WORDS)))
            case "drop":
                words[place : place + 1] = []
            case _:
                words = words[:place]
    return " ".join(words)


@settings(max_examples=600, deadline=None)
@given(spoiled())
def test_a_spoiled_statement_gets_a_report_and_never_a_traceback(statement: str) -> None:
    report = check(statement)
    understood = all(finding.rule != "not_understood" for finding in report.findings)
    everything = [(lock.relation, lock.mode) for lock in report.locks] == [("*", "AccessExclusiveLock")]
    assert understood or everything or ";" in statement


def test_locks_of_a_script_are_merged_to_the_strongest() -> None:
    report = check("SELECT * FROM t; ALTER TABLE T ADD COLUMN x int; UPDATE t SET x = 1 WHERE id = 1")
    named = [(lock.relation, lock.mode) for lock in report.locks if lock.relation != "*"]
    assert named == [("t", "AccessExclusiveLock")]


def test_a_table_made_in_the_same_script_is_nobodys_yet() -> None:
    report = check("CREATE TABLE n (id bigint); CREATE INDEX ON n (id); ALTER TABLE n ADD CHECK (id > 0); DROP TABLE n")
    assert report.verdict == "allow"
    assert [lock.relation for lock in report.locks] in ([], ["*"])


def test_a_table_that_was_there_is_not_spared_by_a_namesake_in_another_schema() -> None:
    assert check("CREATE TABLE s.n (id bigint); DROP TABLE n").verdict == "refuse"


PROVEN = (
    "ALTER TABLE t ADD CONSTRAINT n CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT n;"
    " ALTER TABLE t ALTER a SET NOT NULL"
)


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (PROVEN, "allow"),
        (PROVEN.replace("ALTER a SET", "ALTER b SET"), "refuse"),
        (PROVEN.replace("VALIDATE CONSTRAINT n", "VALIDATE CONSTRAINT m"), "refuse"),
        (PROVEN.replace("a IS NOT NULL)", "a IS NOT NULL OR b > 1)"), "refuse"),
        (PROVEN + ", DROP CONSTRAINT n", "refuse"),
        (PROVEN.replace("; ALTER TABLE t ALTER", "; ALTER TABLE t DROP CONSTRAINT n; ALTER TABLE t ALTER"), "refuse"),
    ],
)
def test_set_not_null_passes_only_where_a_validated_check_proves_it(script: str, verdict: str) -> None:
    assert check(script).verdict == verdict


def test_too_many_statements_are_refused_as_a_whole() -> None:
    assert check("SELECT 1;" * MAX_STATEMENTS).verdict == "allow"
    assert check("SELECT 1;" * (MAX_STATEMENTS + 1)).verdict == "refuse"


def test_a_lock_timeout_of_zero_is_none() -> None:
    alter = "ALTER TABLE t ADD COLUMN x int"
    rules = [
        {finding.rule for finding in check(f"{prefix}; {alter}").findings}
        for prefix in ("SET lock_timeout = 0", "SET LOCAL lock_timeout TO '1s'", "SET lock_timeout = DEFAULT")
    ]
    assert ["missing_lock_timeout" in found for found in rules] == [True, False, True]


@pytest.mark.parametrize(("text", "number"), [("15", 150099), ("14.2", 140002), (" 18.1 ", 180001)])
def test_versions_become_numbers(text: str, number: int) -> None:
    assert version_num(text) == number


@pytest.mark.parametrize("text", ["", "x", "15.x", "9.6.1", "-1", "\u0661\u0665"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UnusableVersion):
        version_num(text)


def test_a_statement_the_server_does_not_know_is_refused_with_what_to_write_instead() -> None:
    finding = check("ALTER TABLE orders DETACH PARTITION p1 CONCURRENTLY", version=130099).findings[0]
    assert (finding.rule, finding.level) == ("newer_syntax", "refuse")
    assert "PostgreSQL 14" in finding.why
    assert check(finding.fix, version=130099).verdict == "allow"
    assert check("ALTER TABLE orders DETACH PARTITION p1 CONCURRENTLY", version=140000).verdict == "allow"


def test_no_concurrent_form_is_suggested_for_system_catalogs() -> None:
    for text in ("REINDEX SYSTEM shop", "REINDEX SYSTEM CONCURRENTLY shop", "REINDEX TABLE pg_catalog.pg_class"):
        report = check(text)
        assert report.verdict == "refuse"
        assert all("CONCURRENTLY" not in finding.fix for finding in report.findings)
