"""What Slack accepts of a message or a modal: the documented limits of Block Kit, checked from the outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MESSAGE_BLOCKS, MODAL_BLOCKS, FIELDS = 50, 100, 10
MESSAGE_CHARS = 13_200
"""Undocumented; reported as msg_blocks_too_long (bolt-js#2509)."""
TEXT_CHARS = 40_000
LIMITS: Mapping[str, int] = {"header": 150, "section": 3000, "field": 2000, "button": 75, "context": 3000}
ELEMENTS: Mapping[str, int] = {"actions": 25, "context": 10}
ID_CHARS, VALUE_CHARS, URL_CHARS, LABEL_CHARS = 255, 2000, 3000, 75
MODAL_TEXT_CHARS, METADATA_CHARS = 24, 3000
CONFIRM: Mapping[str, int] = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
TYPES = frozenset({"header", "section", "divider", "actions", "context", "input", "image"})


def of_message(blocks: object) -> str:
    """Slack's error, empty when it takes them."""
    if not isinstance(blocks, list) or len(blocks) > MESSAGE_BLOCKS:
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > MESSAGE_CHARS:
        return "msg_blocks_too_long"
    return "invalid_blocks" if any(_wrong(blocks, modal=False)) else ""


def of_view(view: Mapping[str, Any]) -> str:
    blocks = view.get("blocks")
    if view.get("type") != "modal" or not isinstance(blocks, list) or not 1 <= len(blocks) <= MODAL_BLOCKS:
        return "invalid_arguments"
    titles = [view.get(name) for name in ("title", "submit", "close") if name in view]
    if not titles or any(not _text_fits(one, MODAL_TEXT_CHARS, ("plain_text",)) for one in titles):
        return "invalid_arguments"
    if len(view.get("private_metadata", "")) > METADATA_CHARS or len(view.get("callback_id", "")) > ID_CHARS:
        return "invalid_arguments"
    if any(one.get("type") == "input" for one in blocks) and "submit" not in view:
        return "invalid_arguments"
    return "invalid_arguments" if any(_wrong(blocks, modal=True)) else ""


def _wrong(blocks: Sequence[Any], *, modal: bool) -> Iterator[str]:
    ids = [one.get("block_id") for one in blocks if isinstance(one, dict) and one.get("block_id")]
    if len(set(ids)) != len(ids):
        yield "block_id twice"
    for one in blocks:
        if not isinstance(one, dict) or one.get("type") not in TYPES or len(one.get("block_id", "")) > ID_CHARS:
            yield "not a block"
        elif one["type"] == "input" and not modal:
            yield "an input outside a modal"
        else:
            yield from _block(one)


def _block(one: Mapping[str, Any]) -> Iterator[str]:
    match one["type"]:
        case "header" if not _text_fits(one.get("text"), LIMITS["header"], ("plain_text",)):
            yield "header"
        case "section":
            yield from _section(one)
        case "context":
            elements = one.get("elements", [])
            fits = all(_text_fits(part, LIMITS["context"]) for part in elements)
            if not fits or not 1 <= len(elements) <= ELEMENTS["context"]:
                yield "context"
        case "actions":
            yield from _actions(one.get("elements", []))
        case "input":
            labelled = _text_fits(one.get("label"), VALUE_CHARS, ("plain_text",))
            if not labelled or not isinstance(one.get("element"), dict):
                yield "input"
        case _:
            return


def _section(one: Mapping[str, Any]) -> Iterator[str]:
    fields = one.get("fields")
    if one.get("text") is None and not fields:
        yield "an empty section"
    if one.get("text") is not None and not _text_fits(one["text"], LIMITS["section"]):
        yield "section"
    if fields is None:
        return
    if not 1 <= len(fields) <= FIELDS or any(not _text_fits(part, LIMITS["field"]) for part in fields):
        yield "fields"


def _actions(elements: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    ids = [one.get("action_id") for one in elements]
    if not 1 <= len(elements) <= ELEMENTS["actions"] or len(set(ids)) != len(ids):
        yield "actions"
    for one in elements:
        if (
            not _text_fits(one.get("text"), LIMITS["button"], ("plain_text",))
            or len(one.get("value", "")) > VALUE_CHARS
            or len(one.get("url", "")) > URL_CHARS
            or len(one.get("accessibility_label", "")) > LABEL_CHARS
            or one.get("style", "primary") not in {"primary", "danger"}
        ):
            yield "button"
        confirm = one.get("confirm")
        if confirm is not None and any(not _text_fits(confirm.get(name), size) for name, size in CONFIRM.items()):
            yield "confirm"


def _text_fits(part: object, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> bool:
    if not isinstance(part, dict) or part.get("type") not in kinds:
        return False
    text = part.get("text")
    return isinstance(text, str) and 1 <= len(text) <= limit
