"""JSON from outside: bytes in, a document out, or a refusal with its reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH = 64


class UnusablePayload(ValueError):
    """A body that cannot be understood. It is kept and shown, never answered with an error: the source would send it
    again for ever.
    """


def load(body: bytes) -> Any:
    """Raises UnusablePayload. orjson refuses NaN, infinities, lone surrogates and what is not UTF-8. A key that stands
    twice in one object is refused too, for two readers would not agree on which one counts.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusablePayload(f"not JSON: {error}") from error
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            break
    else:
        raise UnusablePayload(f"nested more than {MAX_DEPTH} deep")
    json.loads(body, object_pairs_hook=_once)
    return document


def _inside(outer: Any) -> Iterable[Any]:
    match outer:
        case dict():
            return outer.values()
        case list():
            return outer
        case _:
            return ()


def clean(value: str, most_chars: int) -> str:
    """Without NUL, which no column takes, and not longer than a page can show."""
    text = value.replace("\x00", "\ufffd")
    return text if len(text) <= most_chars else text[:most_chars] + "… (cut)"


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise UnusablePayload(f"the key {clean(twice, 100)!r} stands twice in one object")
