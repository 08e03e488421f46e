"""Text from a database, made safe to show: shortened, on one line, nothing invisible."""

from __future__ import annotations

import unicodedata

SUMMARY_CHARS = 200
QUERY_CHARS = 60
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(text: str, limit_chars: int = QUERY_CHARS) -> str:
    """One line of at most limit_chars characters; control, invisible and direction-changing ones are spelled out."""
    # A huge text is cut before it is looked at; runs of white space may eat some of what is left.
    line = " ".join(text[: limit_chars * 8].split())
    visible = "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _HIDDEN_CATEGORIES else character
        for character in line
    )
    return visible if len(visible) <= limit_chars and len(text) <= limit_chars * 8 else visible[: limit_chars - 1] + "…"


def is_plain(text: str) -> bool:
    """Whether all of it shows as it is: one line, nothing invisible. For texts that may not be changed to be shown."""
    return not any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in text)


def sentence(text: str) -> str:
    """A summary of at most 200 characters."""
    return shown(text, SUMMARY_CHARS)
