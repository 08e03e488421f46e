from __future__ import annotations

import pytest

from guardrails.sql.lex import MAX_BYTES, Unreadable, lex, normal_text, statements


def texts(sql: str) -> list[str]:
    return [token.text for token in lex(sql)]


def test_comments_nest_as_postgresql_nests_them() -> None:
    assert texts("a /* 1 /* 2 */ 3 */ b -- c\n d") == ["a", "b", "d"]


def test_a_comment_may_begin_inside_an_operator() -> None:
    assert texts("1+--x\n2") == ["1", "+", "2"]
    assert texts("a*/*x*/b") == ["a", "*", "b"]


def test_an_operator_drops_a_trailing_sign() -> None:
    assert texts("1=-1") == ["1", "=", "-", "1"]
    assert texts("a @- b") == ["a", "@-", "b"]


def test_strings_are_read_by_their_kind() -> None:
    tokens = lex(r"'it''s' E'a\'b\n' $x$a'$y$b$x$ $$c$$ b'01'")
    assert [token.value for token in tokens] == ["it's", "a'b\n", "a'$y$b", "c", "01"]


def test_words_are_folded_as_the_server_folds_them_and_names_are_not() -> None:
    assert [token.value for token in lex('SELECT Größe "Größe" "a""b"')] == ["select", "größe", "Größe", 'a"b']


def test_numbers_and_dots_are_kept_apart() -> None:
    assert texts("1.5 .5 1..2 a.b $1 1e-5") == ["1.5", ".5", "1", "..", "2", "a", ".", "b", "$1", "1e-5"]


def test_statements_are_cut_outside_strings_and_comments_only() -> None:
    found = statements(lex("SELECT ';' /* ; */; ; SELECT $$;$$"))
    assert [normal_text(statement) for statement in found] == ["SELECT ';'", "SELECT ';'"]


@pytest.mark.parametrize(
    "sql",
    [
        "'a",
        '"a',
        "$$a",
        "/* a",
        "E'a\\'",
        'U&"a"',
        "u&'a'",
        r"'a\' || 'b'",
        "1a",
        "$1a",
        "(",
        ")",
        '""',
        "a\0",
        "a\u202eb",
        "a\u00a0b",
        "p\u0430yroll",
        '"p\u0430yroll"',
        "\ufb01le",
        "E'\\ud800'",
        "x" * (MAX_BYTES + 1),
        "(" * 101 + ")" * 101,
        "a\\b",
    ],
)
def test_what_two_readers_could_take_differently_is_refused(sql: str) -> None:
    with pytest.raises(Unreadable):
        lex(sql)
