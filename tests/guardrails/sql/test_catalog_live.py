from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guardrails.sql.functions import OTHER_BUILT_IN, READABLE, VOLATILE
from guardrails.sql.identifier import KEYWORDS, UnusableName, checked, cut, literal, quoted
from guardrails.sql.readonly import OPERATORS, check_readonly

if TYPE_CHECKING:
    import psycopg

# Volatile only by name: they look, or draw a number.
LOOKING = frozenset(
    """
    array_sample array_shuffle bernoulli clock_timestamp current_query currval gen_random_uuid lastval random
    random_normal system timeofday txid_status uuidv4 uuidv7
    """.split()  # noqa: SIM905 a list of names reads better as text
)


@pytest.mark.integration
def test_every_built_in_function_has_been_decided_on(admin: psycopg.Connection) -> None:
    names = {
        row[0]
        for row in admin.execute(
            "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        ).fetchall()
    }
    undecided = names - READABLE - OTHER_BUILT_IN - {"current_setting"}
    assert not undecided


@pytest.mark.integration
def test_a_readable_function_is_not_volatile_unless_it_only_looks(admin: psycopg.Connection) -> None:
    rows = admin.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v'"
    ).fetchall()
    volatile = {row[0] for row in rows}
    assert volatile - VOLATILE - OTHER_BUILT_IN == set()
    suspicious = {name for name in volatile & READABLE if not name.startswith("pg_")} - LOOKING
    assert suspicious == set()


@pytest.mark.integration
def test_operators_are_the_built_in_ones(admin: psycopg.Connection) -> None:
    rows = admin.execute("SELECT DISTINCT oprname FROM pg_operator").fetchall()
    assert {row[0] for row in rows} <= OPERATORS


@pytest.mark.integration
def test_names_are_quoted_as_the_server_quotes_them(admin: psycopg.Connection) -> None:
    words = [row[0] for row in admin.execute("SELECT word FROM pg_get_keywords()").fetchall()]
    for name in [*words, "plain", "Capital", "with space", 'quo"te', "größe", "_x1", "1x", "a$b", "a;b", "a--b", "a'b"]:
        (theirs,) = admin.execute("SELECT quote_ident(%s)", (name,)).fetchone() or ("",)
        if name in KEYWORDS and not theirs.startswith('"'):
            continue  # a keyword of another version
        assert quoted(name) == theirs


@pytest.mark.integration
def test_strings_come_back_whole_whatever_the_server_thinks_of_backslashes(admin: psycopg.Connection) -> None:
    for setting in ("on", "off"):
        admin.execute(f"SET standard_conforming_strings = {setting}".encode())
        admin.execute("SET escape_string_warning = off")
        for text in ("plain", "it's", "back\\slash", "\\' OR true --", "ümlaut", "$$", ""):
            row = admin.execute(f"SELECT {literal(text)}".encode()).fetchone()
            assert row == (text,)


@pytest.mark.integration
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT (0.0::float8).pg_sleep",
        "SELECT g.pg_terminate_backend FROM generate_series(999999, 999999) g",
        "SELECT * FROM pg_read_file('PG_VERSION')",
        "VALUES (pg_sleep(0))",
    ],
)
def test_the_server_would_really_run_what_is_blocked(admin: psycopg.Connection, statement: str) -> None:
    assert admin.execute(statement.encode()).fetchall()
    assert check_readonly(statement).verdict == "block"


@pytest.mark.parametrize("name", ["", "a\0", "x" * 64, "ü" * 32, "a\nb", "a\u200bb", "a\u202eb", "\ud800"])
def test_a_name_nobody_could_read_or_keep_is_refused(name: str) -> None:
    with pytest.raises(UnusableName):
        checked(name)


def test_a_cut_never_splits_a_character() -> None:
    assert cut("ü" * 40) == "ü" * 31
    assert cut("abc", 2) == "ab"
