"""PostgreSQL's own lexical rules, so that we see the same words the server will see.

Source: the manual, chapter "Lexical Structure", checked against the server in tests. What two readers could take
differently (U& escapes, a backslash before a quote, invisible characters) is refused rather than guessed.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 512 * 1024
"""Cap on the text of one input, checked before anything reads it."""
MAX_TOKENS = 20_000
MAX_DEPTH = 100
"""Cap on nested brackets; real queries stay below 30."""

Kind: TypeAlias = Literal["word", "name", "string", "number", "parameter", "operator", "punctuation"]


class Unreadable(ValueError):
    """A text that is refused before it is parsed; the message is the reason."""


class Token(NamedTuple):
    """One token; a tuple, since thousands are made a second.

    value is folded to lower case for a word, unescaped for a name or string; start is its offset.
    """

    kind: Kind
    text: str
    value: str
    start: int


# A letter is whatever is no other ASCII character, as in scan.l; written so because `re` compiles wide ranges slowly.
_TOKEN = re.compile(
    r"""
    [ \t\n\r\f\v]*(?:
      (?P<word>(?![eEbBxXnN]'|[uU]&["'])[^\x00-@\[-^`{-\x7f][^\x00-#%-/:-@\[-^`{-\x7f]*)
    | (?P<punctuation>::|:=|\.\.|[,()\[\];:]|\.(?![0-9]))
    | (?P<comment>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<unicode>[uU]&["'])
    | (?P<escape>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<bits>[bBxX]'[^']*')
    | (?P<national>[nN]'(?:[^']|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<dollar>\$(?:[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*)?\$)
    | (?P<parameter>\$[0-9]+)
    | (?P<number>(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?))
    | (?P<operator>[~!@\#^&|`?+\-*/%<>=]+)
    | (?P<end>\Z)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_WORD_CHARACTER = re.compile(r"[^\x00-#%-/:-@\[-^`{-\x7f]")
_HIDDEN_CATEGORIES = frozenset({"Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMMENTS = frozenset({"comment", "block"})
_BRACKETS = frozenset("()[]")
_first = itemgetter(0)
_make = tuple.__new__  # half the time of Token(…), for the two kinds that make up most of a text
_LAX_OPERATOR_END = frozenset("~!@#^&|`?%")


_PLAIN_TOKEN = re.compile(
    r"""
    (?: [A-Za-z_][A-Za-z_0-9$]*+(?!['&])
    | [,()\[\];]|\.\.|\.(?![0-9])|::|:=|:
    | [~!@\#^&|`?+\-*/%<>=]++(?<![+\-])
    | [+\-](?![~!@\#^&|`?+\-*/%<>=])
    | [0-9]++(?:\.[0-9]++)?+(?![A-Za-z_0-9.$])
    | '(?:[^']|'')*+'
    | "[^"]++"(?!")
    | \$[0-9]++(?![A-Za-z_0-9$])
    ) [ \t\n\r\f\v]*+
    """,
    re.VERBOSE,
)
"""What nearly all statements are made of, each with the blanks after it: in ASCII, and where no two readers differ."""
_KIND_BY_FIRST: dict[str, Kind] = {
    **dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", "word"),
    **dict.fromkeys(",()[];:.", "punctuation"),
    **dict.fromkeys("0123456789", "number"),
    **dict.fromkeys("~!@#^&|`?+-*/%<>=", "operator"),
    "'": "string",
    '"': "name",
    "$": "parameter",
}
NESTING = {"(": 1, "[": 1, ")": -1, "]": -1}


def lex(sql: str) -> tuple[Token, ...]:
    """The tokens of a text, without blanks and comments.

    Raises:
        Unreadable: too long, too deep, hidden characters, an unfinished quote or comment, or a token that other
            readers take differently.
    """
    return lex_plain(sql) or lex_carefully(sql)


def lex_plain(sql: str) -> tuple[Token, ...] | None:
    """What lex_carefully() answers, in half the time; None = the text is not so plain that this is certain.

    Plain is a text in ASCII without comments, backslashes, quotes with a letter or dollar before them, and mistakes.
    Column by column, since a loop over the tokens in Python is what costs the time.
    """
    if len(sql) > MAX_TOKENS or not sql.isascii() or "\\" in sql or "--" in sql or "/*" in sql or _CONTROL.search(sql):
        return None
    begin = len(sql) - len(sql.lstrip())
    found = _PLAIN_TOKEN.findall(sql, begin)
    starts = list(accumulate(map(len, found), initial=begin))
    if starts.pop() != len(sql):  # findall() passes over what it does not know
        return None
    texts = list(map(str.rstrip, found))
    depths = list(accumulate(map(NESTING.get, texts, repeat(0))))
    if not depths or depths[-1] or min(depths) < 0 or max(depths) > MAX_DEPTH:
        return None
    kinds = list(map(_KIND_BY_FIRST.__getitem__, map(_first, texts)))
    values = list(map(str.lower, texts))
    if "'" in sql or '"' in sql:
        for index, kind in enumerate(kinds):
            if kind == "string":
                values[index] = texts[index][1:-1].replace("''", "'")
            elif kind == "name":
                values[index] = texts[index][1:-1]
    return tuple(map(_make, repeat(Token), zip(kinds, texts, values, starts, strict=True)))


def lex_carefully(sql: str) -> tuple[Token, ...]:
    """The tokens of any text, one by one.

    Raises:
        Unreadable: as lex() says.
    """
    _check_text(sql)
    tokens: list[Token] = []
    add, match, plain = tokens.append, _TOKEN.match, sql.isascii()
    position, depth = 0, 0
    while True:
        found = match(sql, position)
        if found is None:
            raise _no_token(sql, position)
        kind = found.lastgroup or ""
        start, position = found.span(kind)
        text = sql[start:position]
        if kind == "word" and (plain or text.isascii()):
            add(_make(Token, ("word", text, text.lower(), start)))
        elif kind == "punctuation":
            add(_make(Token, ("punctuation", text, text, start)))
            if text in _BRACKETS:
                depth = _depth_after(depth, text)
        elif kind == "end":
            break
        elif kind in _COMMENTS:
            position = position if kind == "comment" else _after_block(sql, start)
        else:
            token = _token(sql, found, kind, start)
            add(token)
            position = start + len(token.text)
        if len(tokens) > MAX_TOKENS:
            raise Unreadable(f"more than {MAX_TOKENS} tokens")
    if depth:
        raise Unreadable("a bracket is left open")
    return tuple(tokens)


def statements(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], ...]:
    """The tokens cut at each semicolon; empty statements are left out.

    A BEGIN ATOMIC body is not understood and so makes several statements, each of which is refused later.
    """
    found: list[tuple[Token, ...]] = []
    begin = 0
    for cut in [index for index, (_kind, text, _value, _start) in enumerate(tokens) if text == ";"]:
        found.append(tokens[begin:cut])
        begin = cut + 1
    found.append(tokens[begin:])
    return tuple(statement for statement in found if statement)


def normal_text(tokens: Iterable[Token]) -> str:
    """The statement written again with single blanks, no comments, and every string in plain quotes.

    A second parser then reads the same tokens, whatever it thinks of comments and escapes.
    """
    return " ".join(plain_quotes(value) if kind == "string" else text for kind, text, value, _start in tokens)


def plain_quotes(value: str) -> str:
    """A string's value in quotes that all readers read alike; a backslash becomes a slash."""
    return "'" + value.replace("\\", "/").replace("'", "''") + "'"


def _check_text(sql: str) -> None:
    if len(sql) > MAX_BYTES or len(sql.encode(errors="surrogatepass")) > MAX_BYTES:
        raise Unreadable(f"longer than {MAX_BYTES} bytes")
    if sql.isascii():
        control = _CONTROL.search(sql)
        hidden = control.group() if control else None
    else:
        hidden = next((character for character in sql if _is_hidden(character)), None)
    if hidden is not None:
        raise Unreadable(f"the hidden character U+{ord(hidden):04X}")


def _is_hidden(character: str) -> bool:
    if character < "\x80":
        return _CONTROL.match(character) is not None
    return character < "\xa0" or unicodedata.category(character) in _HIDDEN_CATEGORIES


def _token(sql: str, found: re.Match[str], kind: str, start: int) -> Token:
    text = found[kind]
    match kind:
        case "word":
            return Token("word", text, _folded(text), start)
        case "name":
            return _name(text, start)
        case "string" | "national" | "bits":
            return _plain_string(text, start)
        case "escape":
            return Token("string", text, _unescaped(text[2:-1]), start)
        case "dollar":
            return _dollar_string(sql, text, start)
        case "number" | "parameter":
            end = found.end()
            if end < len(sql) and _WORD_CHARACTER.match(sql, end):
                raise Unreadable(f"a word follows {text[:20]} without a blank")
            return Token("number" if kind == "number" else "parameter", text, text, start)
        case "operator":
            return _operator(text, start)
    raise Unreadable("a U& escape: other readers see another name than PostgreSQL does")


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    for character in text:
        if character >= "\x80" and unicodedata.category(character)[0] not in "LMN":
            raise Unreadable(f"the character U+{ord(character):04X} inside a word")
    _one_script(text)
    # PostgreSQL folds only ASCII in a multi-byte encoding.
    return "".join(character.lower() if character < "\x80" else character for character in text)


def _name(text: str, start: int) -> Token:
    value = text[1:-1].replace('""', '"')
    if not value:
        raise Unreadable("an empty name")
    if not value.isascii():
        _one_script(value)
    return Token("name", text, value, start)


def _one_script(name: str) -> None:
    """Refuses names that look like others: several scripts in one, or compatibility forms."""
    if unicodedata.normalize("NFKC", name) != name:
        raise Unreadable(f"the name {name!a} holds look-alike characters")
    scripts = {unicodedata.name(c, "?").split(" ")[0] for c in name if c.isalpha()}
    if len(scripts) > 1:
        raise Unreadable(f"the name {name!a} mixes {' and '.join(sorted(scripts)).lower()} letters")


def _plain_string(text: str, start: int) -> Token:
    value = text[text.index("'") + 1 : -1]
    # With standard_conforming_strings off, \' does not end the string.
    if "\\'" in value or value.endswith("\\"):
        raise Unreadable("a backslash before a quote: servers differ on where the string ends; write E'' or $$")
    return Token("string", text, value.replace("''", "'"), start)


_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|''", re.DOTALL)
_CONTROL_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _unescaped(body: str) -> str:
    def one(found: re.Match[str]) -> str:
        octal, short_hex, four, eight, plain = found.groups()
        if plain is not None:
            return _CONTROL_ESCAPES.get(plain, plain)
        if found.group() == "''":
            return "'"
        code = int(octal, 8) if octal else int(short_hex or four or eight, 16)
        if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 the Unicode range
            raise Unreadable("an escape that is no character")
        return chr(code)

    return _ESCAPE.sub(one, body)


def _dollar_string(sql: str, tag: str, start: int) -> Token:
    begin = start + len(tag)
    end = sql.find(tag, begin)
    if end < 0:
        raise Unreadable("a dollar quote is left open")
    return Token("string", sql[start : end + len(tag)], sql[begin:end], start)


def _operator(text: str, start: int) -> Token:
    # A comment may begin inside a run of operator characters, and PostgreSQL lets it.
    cuts = [text.index(mark) for mark in ("--", "/*") if mark in text]
    if cuts:
        text = text[: min(cuts)]
    # An operator of several characters ends in + or - only if it holds one of ~ ! @ # % ^ & | ` ?
    while len(text) > 1 and text[-1] in "+-" and not _LAX_OPERATOR_END.intersection(text):
        text = text[:-1]
    return Token("operator", text, text, start)


def _after_block(sql: str, start: int) -> int:
    depth, position = 1, start + 2
    while depth:
        edge = _BLOCK_EDGE.search(sql, position)
        if edge is None:
            raise Unreadable("a comment is left open")
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def _depth_after(depth: int, bracket: str) -> int:
    if bracket in "([":
        if depth == MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} deep")
        return depth + 1
    if not depth:
        raise Unreadable("a bracket closes that was not opened")
    return depth - 1


def _no_token(sql: str, position: int) -> Unreadable:
    position = next((index for index in range(position, len(sql)) if sql[index] not in " \t\n\r\f\v"), position)
    character = sql[position]
    if character in "'\"" or sql[position : position + 2].lower() in ("e'", "b'", "x'", "n'"):
        return Unreadable("a quote is left open")
    return Unreadable(f"the character {character!a} stands where no token begins")
