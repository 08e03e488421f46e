"""Reads the .sql files that hold every query: `-- name: <name>` opens one, the next opens another."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "-- name:"


def load(package: str, filename: str) -> Mapping[str, str]:
    """Query texts by name, comments kept. Raises ValueError on a name given twice."""
    text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
    queries: dict[str, str] = {}
    for block in text.split(_NAME)[1:]:
        name, _, body = block.partition("\n")
        name = name.strip()
        if name in queries:
            raise ValueError(f"{package}/{filename} has two queries named {name}")
        queries[name] = body.strip()
    return queries
