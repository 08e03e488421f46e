"""Walking over the tokens of one statement, refusing whatever does not fit the grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.identifier import KEYWORDS
from guardrails.sql.lex import Token, Unreadable

if TYPE_CHECKING:
    from collections.abc import Collection

# Keywords that may still name a table or column (pg_get_keywords(), category C).
_COLUMN_NAME_KEYWORDS = frozenset(
    """
    between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int
    integer interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value least merge_action national nchar none normalize nullif numeric out overlay
    position precision real row setof smallint substring time timestamp treat trim values varchar xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_NOT_A_NAME = KEYWORDS - _COLUMN_NAME_KEYWORDS


class Cursor:
    """A position in the tokens; every method that reads moves it on, and raises Unreadable where it cannot."""

    __slots__ = ("_tokens", "position")

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self.position = 0

    def fork(self) -> Cursor:
        """Another cursor at the same place, to look ahead with."""
        other = Cursor(self._tokens)
        other.position = self.position
        return other

    @property
    def at_end(self) -> bool:
        return self.position >= len(self._tokens)

    def peek(self, offset: int = 0) -> Token | None:
        index = self.position + offset
        return self._tokens[index] if index < len(self._tokens) else None

    def word(self, offset: int = 0) -> str:
        """The unquoted word here in lower case; empty for anything else."""
        token = self.peek(offset)
        return token.value if token is not None and token.kind == "word" else ""

    def follows(self, *words: str) -> bool:
        return all(self.word(offset) == word for offset, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Passes these words if they all stand here."""
        if not self.follows(*words):
            return False
        self.position += len(words)
        return True

    def accept_one(self, *words: str) -> str:
        """Passes one of these words and says which; empty if none stands here."""
        word = self.word()
        if word and word in words:
            self.position += 1
            return word
        return ""

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.error(f"{' '.join(words).upper()} expected")

    def symbol(self, text: str) -> bool:
        token = self.peek()
        if token is None or token.text != text or token.kind not in ("punctuation", "operator"):
            return False
        self.position += 1
        return True

    def expect_symbol(self, text: str) -> None:
        if not self.symbol(text):
            raise self.error(f"{text} expected")

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise self.error("the statement ends too early")
        self.position += 1
        return token

    def name(self) -> str:
        """One identifier, as written."""
        token = self.peek()
        if token is None or token.kind not in ("word", "name") or (token.kind == "word" and token.value in _NOT_A_NAME):
            raise self.error("a name expected")
        self.position += 1
        return token.text

    def label(self) -> str:
        """One identifier where keywords are welcome too (after a dot, an option's name)."""
        token = self.take()
        if token.kind not in ("word", "name"):
            raise self.error("a name expected")
        return token.text

    def relation(self) -> str:
        """A possibly qualified name, as written."""
        parts = [self.name()]
        while self.symbol("."):
            parts.append(self.label())
        if len(parts) > 3:  # noqa: PLR2004 database, schema, relation
            raise self.error("a name of more than three parts")
        return ".".join(parts)

    def relations(self) -> tuple[str, ...]:
        """Names divided by commas, each with an ONLY or a * that changes nothing here."""
        found = []
        while True:
            self.accept("only")
            found.append(self.relation())
            self.symbol("*")
            if not self.symbol(","):
                return tuple(found)

    def group(self) -> tuple[Token, ...]:
        """What stands in the brackets that open here."""
        self.expect_symbol("(")
        start, depth = self.position, 1
        while depth:
            token = self.take()
            if token.kind == "punctuation":
                depth += (token.text in "([") - (token.text in ")]")
        return self._tokens[start : self.position - 1]

    def opens(self) -> bool:
        token = self.peek()
        return token is not None and token.text == "("

    def until(self, stops: Collection[str]) -> tuple[Token, ...]:
        """Everything up to a comma or one of the words outside brackets, or to the end; at least one token."""
        start, depth = self.position, 0
        while not self.at_end:
            token = self.take()
            if token.kind == "punctuation":
                if token.text in "([":
                    depth += 1
                elif token.text in ")]":
                    depth -= 1
            after = self.peek()
            if (
                depth == 0
                and after is not None
                and (after.text == "," or (after.kind == "word" and after.value in stops))
            ):
                break
        if start == self.position:
            raise self.error("an expression expected")
        return self._tokens[start : self.position]

    def rest(self) -> tuple[Token, ...]:
        start = self.position
        self.position = len(self._tokens)
        return self._tokens[start:]

    def since(self, position: int) -> tuple[Token, ...]:
        """What was passed since the cursor stood there."""
        return self._tokens[position : self.position]

    def end(self) -> None:
        if not self.at_end:
            raise self.error("not understood")

    def error(self, what: str) -> Unreadable:
        token = self.peek()
        where = f"at {token.text[:30]!a}" if token is not None else "at the end"
        return Unreadable(f"{what} {where}")
