"""The judge's fast paths answer what the careful ones answer, or leave it to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot.dialects.postgres import Postgres

from guardrails.sql.lex import Token, Unreadable, lex_carefully, lex_plain, normal_text, statements
from guardrails.sql.parser_tokens import parser_tokens
from lab.bench.squawk import corpus
from tests.guardrails.rules.test_rules import NAMES, fixture
from tests.guardrails.sql.bypasses import BYPASSES, DIAGNOSIS
from tests.guardrails.sql.lock_cases import CASES, SINCE
from tests.guardrails.sql.test_locks_live import HELD_OUT_CASES

_PIECES = st.sampled_from(
    """select from group order by GROUP BY grouping sets double precision character varying similar to by key begin do
    end explain lock show a "A b" "a""b" "" 'x' 'it''s' '\\' E'\\n' n'x' b'1' x'f' U&'x' u&"x" $1 $$ $a$x$a$ 1 1.5 .5 1.
    1e5 0x1F 1_000 1a ( ) [ ] , . .. : :: := ; + - * / = <> != <= -- /* */ ~ ~~* @ @> <@ ? ?| # #>> -> ->> || |/ @- =-
    {{ }} \\ ` é "é" 'é' \uff53 $ a$b _ a'x' a&b a&'x'""".split()  # noqa: SIM905 a list of pieces reads better as text
)
_BETWEEN = st.sampled_from(["", " ", "\n", "\r\n", "\t ", "  "])
_TEXTS = st.lists(st.tuples(_PIECES, _BETWEEN), max_size=14).map(lambda pairs: "".join(map("".join, pairs)))


_FIXTURES = [text for name in NAMES for examples in fixture(name).values() for text in examples]
EVERYTHING = (*CASES, *SINCE, *HELD_OUT_CASES, *corpus(), *_FIXTURES, *BYPASSES, *DIAGNOSIS)


def as_careful(text: str) -> tuple[Token, ...] | None:
    """None = refused."""
    try:
        return lex_carefully(text)
    except Unreadable:
        return None


def agree(text: str) -> tuple[bool, bool]:
    """Whether the text was plain, and whether every statement's tokens were certain; asserts that they are the same."""
    careful, plain = as_careful(text), lex_plain(text)
    assert plain is None or plain == careful
    certain = bool(careful)
    for statement in statements(careful or ()):
        given_to_parser = parser_tokens(statement)
        certain &= given_to_parser is not None
        if given_to_parser is None:
            continue
        tokens, written = given_to_parser
        assert written == normal_text(statement)
        assert [_parts(token) for token in tokens] == [_parts(token) for token in Postgres().tokenize(written)]
    return plain is not None, certain


def _parts(token: object) -> tuple[object, ...]:
    return tuple(getattr(token, name) for name in ("token_type", "text", "line", "col", "start", "end", "comments"))


def test_on_every_corpus_the_fast_paths_answer_what_the_careful_ones_do() -> None:
    answers = [agree(text) for text in EVERYTHING]
    plain = sum(answer[0] for answer in answers)
    certain = sum(answer[1] for answer in answers)
    assert plain > len(answers) // 2
    assert certain > len(answers) // 2


@settings(max_examples=1000, deadline=None)
@given(_TEXTS)
def test_on_anything_the_fast_paths_answer_what_the_careful_ones_do(text: str) -> None:
    agree(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 -- x",
        "SELECT /* x */ 1",
        "SELECT E'x'",
        "SELECT 'a\\b'",
        "SELECT é",
        "SELECT (",
        "SELECT 1a",
        "SELECT $a$x$a$",
    ],
)
def test_what_is_not_plain_is_left_to_the_careful_lexer(text: str) -> None:
    assert lex_plain(text) is None


@pytest.mark.parametrize("text", ["SELECT a @> b", "LOCK t", "SELECT 0x1F", "SELECT 'a\nb'", "SELECT 'é'"])
def test_what_sqlglot_may_cut_otherwise_is_left_to_its_tokenizer(text: str) -> None:
    assert parser_tokens(lex_carefully(text)) is None


def test_the_plain_lexer_takes_no_longer_for_hostile_text() -> None:
    for text in ("'" * 19_999, '"' * 19_999, "$" * 19_999, "+-" * 9_999, "(" * 19_999, "a'" * 9_999, "1." * 9_999):
        assert lex_plain(text) is None or lex_plain(text) == lex_carefully(text)
