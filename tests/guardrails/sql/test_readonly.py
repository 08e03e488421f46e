from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.sql.check import check
from guardrails.sql.functions import OTHER_BUILT_IN, READABLE
from guardrails.sql.readonly import check_readonly
from tests.guardrails.sql.bypasses import BYPASSES, DIAGNOSIS

WRITE = "WITH y AS (DELETE FROM t RETURNING *) "
WORDS = (
    "SELECT FROM t pg_sleep ( ) ' $$ /* */ -- :: int U& E' WITH x AS RETURNING * INTO FOR UPDATE 1 $1 CASE END"
    ' DELETE ; , " [ ] . \\'
)
FRAGMENTS = st.sampled_from([*WORDS.split(), "\n", "\0", "ü", "\u202e", "DELETE FROM t"])


def test_there_are_at_least_three_hundred_different_bypasses() -> None:
    assert len(set(BYPASSES)) >= 300


def test_no_bypass_gets_through() -> None:
    leaks = [statement[:100] for statement in BYPASSES if check_readonly(statement).verdict == "allow"]
    assert leaks == []


def test_a_refusal_says_why() -> None:
    assert all(check_readonly(statement).reason for statement in BYPASSES)


def test_diagnosis_goes_through() -> None:
    assert len(set(DIAGNOSIS)) >= 200
    blocked = [(statement, check_readonly(statement).reason) for statement in DIAGNOSIS]
    wrong = [found for found in blocked if found[1]]
    assert len(wrong) <= 0.03 * len(DIAGNOSIS), wrong


def test_diagnosis_calls_nothing_unknown() -> None:
    spoke = {text: [finding.why for finding in check(text).findings] for text in DIAGNOSIS}
    assert sum(any("may lock or change anything" in why for why in found) for found in spoke.values()) == 0, spoke


_DEEP = 10_000


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '" + "x" * 2**20 + "'",
        "SELECT " + "(" * _DEEP + "1" + ")" * _DEEP,
        "SELECT " + "CASE WHEN true THEN " * _DEEP + "1" + " END" * _DEEP,
        "SELECT " + "ARRAY[" * _DEEP + "1" + "]" * _DEEP,
        "SELECT " + "ARRAY[" * 20 + "1" + "]" * 20,
        "SELECT " + "(SELECT " * _DEEP + "1" + ")" * _DEEP,
        "/*" * _DEEP + "SELECT 1",
        "SELECT a" + " -> 'b'" * _DEEP,
        "SELECT 1 WHERE " + " AND ".join(["a = 1"] * _DEEP),
        "SELECT 1 WHERE a IN (" + ", ".join(["1"] * 100_000) + ")",
        "SELECT 1;" * _DEEP,
        "SELECT " + "NOT " * _DEEP + "true",
    ],
    ids=lambda text: text[:30],
)
def test_what_is_too_long_or_too_deep_is_refused_before_it_is_parsed(text: str) -> None:
    assert check_readonly(text).verdict == "block"
    assert check(text).verdict == "refuse"


def test_parameters_of_pg_stat_statements_pass() -> None:
    text = "SELECT * FROM orders WHERE customer_id = $1 AND status IN ($2, $3) ORDER BY created_at DESC LIMIT $4"
    assert check_readonly(text).verdict == "allow"


def test_a_name_is_never_both_readable_and_not() -> None:
    assert not READABLE & OTHER_BUILT_IN


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=30).map(" ".join) | st.text(max_size=200))
def test_whatever_comes_gets_an_answer_and_never_a_traceback(text: str) -> None:
    answer = check_readonly(text)
    assert answer.verdict == "allow" or answer.reason
    assert check(text).verdict in ("allow", "refuse")


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=20).map(" ".join))
def test_nothing_that_sleeps_or_writes_is_ever_allowed(text: str) -> None:
    if check_readonly(f"SELECT pg_sleep ( 1 ) {text}").verdict == "allow":
        pytest.fail(text)
    if check_readonly(WRITE + text).verdict == "allow":
        pytest.fail(text)
