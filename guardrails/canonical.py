"""One value, one sequence of bytes: RFC 8785, the ground under every digest and signature here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class UnusableDocument(ValueError):
    """A value that has no canonical form: NaN, an integer past 2^53, a lone surrogate, an unknown type."""


def canonical(document: Json) -> bytes:
    """RFC 8785 bytes of a JSON value.

    Raises:
        UnusableDocument: the value has no canonical form; large integers belong in strings.
    """
    try:
        return rfc8785.dumps(_plain(document))
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise UnusableDocument(f"no canonical form: {error}") from error


def digest(document: Json) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, so that one instant has one spelling.

    Raises:
        UnusableDocument: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise UnusableDocument("a moment without a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The instant that timestamp() wrote.

    Raises:
        UnusableDocument: not an RFC 3339 timestamp with a zone.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnusableDocument(f"not a timestamp: {text!a}") from error
    if parsed.tzinfo is None:
        raise UnusableDocument(f"a timestamp without a zone: {text!a}")
    return parsed


def _plain(value: Json) -> Json:
    """Lists and dicts, which rfc8785 wants, of whatever sequences and mappings came in."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise UnusableDocument(f"not a JSON value: {type(value).__name__}")
