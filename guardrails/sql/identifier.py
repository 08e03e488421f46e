"""How a name is written so that PostgreSQL reads back exactly that name."""

from __future__ import annotations

import re
import unicodedata

NAME_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL silently cuts a longer name, so a longer one is refused here."""

_KEYWORD_LIST = """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
    cast char character check coalesce collate collation column concurrently constraint create cross current_catalog
    current_date current_role current_schema current_time current_timestamp current_user dec decimal default
    deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
    greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
    json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
    json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national
    natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay
    placing position precision primary real references returning right row select session_user setof similar
    smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true
    union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
KEYWORDS = frozenset(_KEYWORD_LIST.split())
"""Words that quote_ident() quotes: pg_get_keywords() with catcode other than U, all of versions 12 to 18 together."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class UnusableName(ValueError):
    """A name that PostgreSQL would cut or refuse, or that a person could not read for what it is."""


def checked(name: str) -> str:
    """The name itself, if PostgreSQL keeps it whole and it shows on a screen as it is.

    Raises:
        UnusableName: empty, over 63 bytes of UTF-8, or with control, invisible or direction-changing characters.
    """
    if not name:
        raise UnusableName("an empty name")
    for character in name:
        if unicodedata.category(character) in _HIDDEN_CATEGORIES:
            raise UnusableName(f"the name {name!a} holds the invisible character U+{ord(character):04X}")
    size = len(name.encode())
    if size > NAME_BYTES:
        raise UnusableName(f"the name {name!a} has {size} bytes, PostgreSQL keeps {NAME_BYTES}")
    return name


def quoted(name: str) -> str:
    """As quote_ident() writes it: bare when that is safe, else in double quotes."""
    if _PLAIN.fullmatch(checked(name)) and name not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    return f"{quoted(schema)}.{quoted(name)}"


def literal(text: str) -> str:
    """A string constant that reads the same whatever standard_conforming_strings says.

    Raises:
        UnusableName: NUL, or a lone surrogate, which no PostgreSQL text can hold.
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UnusableName("a string with NUL or a lone surrogate is no PostgreSQL text")
    escaped = text.replace("'", "''")
    if "\\" in text:
        return " E'" + escaped.replace("\\", "\\\\") + "'"
    return f"'{escaped}'"


def cut(name: str, size_bytes: int = NAME_BYTES) -> str:
    """The longest beginning of the name that fits, never half a character."""
    return name.encode()[:size_bytes].decode(errors="ignore")
