"""Our tokens as sqlglot's parser takes them, so that the text is not cut up a second time.

Only where it is certain what sqlglot's own tokenizer would say; a test compares the two on every corpus.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot.dialects.postgres import Postgres
from sqlglot.tokenizer_core import Token as ParserToken
from sqlglot.tokenizer_core import TokenType

from guardrails.sql.lex import plain_quotes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrails.sql.lex import Kind, Token

_KEYWORDS = Postgres.Tokenizer.KEYWORDS
_UNCERTAIN = {*Postgres.Tokenizer.COMMANDS, *Postgres.Tokenizer.COMMAND_PREFIX_TOKENS}
"""After these sqlglot may read on to the semicolon as one string."""
_PAIRS = {words.lower(): kind for words, kind in _KEYWORDS.items() if " " in words}
"""`GROUP BY` is one token to sqlglot."""
_WORDS: dict[str, TokenType | None] = {
    **{word.lower(): None if kind in _UNCERTAIN else kind for word, kind in _KEYWORDS.items()},
    **{word: None for words in _PAIRS for word in words.split()[1:]},
}
"""None = look closer; a word that is not here is a name."""
_ALONE = {word: _KEYWORDS.get(word.upper(), TokenType.VAR) for words in _PAIRS for word in words.split()[1:]}
"""What the second word of a pair is without the first."""
_SIGNS = {
    sign: kind
    for sign, kind in {**Postgres.Tokenizer.SINGLE_TOKENS, **_KEYWORDS}.items()
    if not re.search(r"[\w\s{}'\"`$@?\\;]", sign)
}
"""Without those that change how sqlglot reads what follows."""
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


def parser_tokens(tokens: Sequence[Token]) -> tuple[list[ParserToken], str] | None:
    """The tokens of normal_text(tokens) and that text itself; None = sqlglot has to cut it up."""
    written: list[str] = []
    found: list[ParserToken] = []
    write, add, sort_of_word, sort_of_sign, name = written.append, found.append, _WORDS.get, _SIGNS.get, TokenType.VAR
    start, before = 0, ""
    for kind, text, value, _start in tokens:
        piece, added = text, False
        if kind == "word":
            sort = sort_of_word(value, name)
            if sort is None:
                added = _add_second(found, f"{before} {value}", start + len(text))
                sort = _ALONE.get(value)
            before = value
        elif kind == "punctuation" or kind == "operator":  # noqa: PLR1714 twice as fast
            sort, before = sort_of_sign(text), ""
        else:
            piece, sort, before = plain_quotes(value) if kind == "string" else text, None, ""
            added = _add_other(found, kind, piece, value, start)
        end = start + len(piece)
        if not added:
            if sort is None:
                return None
            add(ParserToken(sort, text, 1, end, start, end - 1))
        write(piece)
        start = end + 1
    whole = " ".join(written)
    return (found, whole) if whole.isascii() and "\n" not in whole and "\r" not in whole else None


def _add_second(found: list[ParserToken], pair: str, end: int) -> bool:
    """Makes one token of two words, if sqlglot does."""
    sort = _PAIRS.get(pair)
    if sort is None:
        return False
    found[-1] = ParserToken(sort, pair.upper(), 1, end, found[-1].start, end - 1)
    return True


def _add_other(found: list[ParserToken], kind: Kind, text: str, value: str, start: int) -> bool:
    """A string, name, number or parameter, if it is certain how sqlglot reads it."""
    end = start + len(text)
    match kind:
        case "string":
            found.append(ParserToken(TokenType.STRING, value.replace("\\", "/"), 1, end, start, end - 1))
        case "name" if '"' not in value and "\\" not in value:
            found.append(ParserToken(TokenType.IDENTIFIER, value, 1, end, start, end - 1))
        case "number" if _NUMBER.fullmatch(text):
            found.append(ParserToken(TokenType.NUMBER, text, 1, end, start, end - 1))
        case "parameter":
            found.append(ParserToken(TokenType.PARAMETER, "$", 1, start + 1, start, start))
            found.append(ParserToken(TokenType.NUMBER, text[1:], 1, end, start + 1, end - 1))
        case _:
            return False
    return True
