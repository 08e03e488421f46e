"""What open pages are sent when something changed: the parts that did, rendered once for all who may see the same."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from service.pages import incident, overview
from service.pages.template import render

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from service.context import Context
    from service.identity import Person

_GOES_BY_ITSELF = re.compile(r'data-(?:left|age)="[^"]*">[^<]*<')
"""What counts down or up on the page by itself is no change. As in static/pages.js."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The parts of a page by name, and a mark of each that changes with its content."""

    version: int
    parts: Mapping[str, str]
    marks: Mapping[str, str]
    _events: dict[frozenset[str], bytes] = field(default_factory=dict)

    def event(self, names: frozenset[str]) -> bytes:
        """These parts as an event of the stream; the same bytes for everybody who lacks the same."""
        made = self._events.get(names)
        if made is None:
            html = "".join(self.parts[name] for name in self.parts if name in names)
            made = b"event: parts\ndata: " + orjson.dumps({"version": self.version, "html": html}) + b"\n\n"
            self._events[names] = made
        return made


class Page(Protocol):
    """A page that people keep open. Its methods read and render, so they are called on threads."""

    def read(self) -> dict[str, Any] | None:
        """What is the same for everybody. None: there is nothing to show. Raises Unreachable."""
        ...

    def seen(self, values: dict[str, Any], person: Person) -> Hashable:
        """All that this page says differently to different people."""
        ...

    def render(self, values: dict[str, Any], seen: Any) -> Rendered:
        """The parts that change with an event. No token of a form is in them: those belong to one person."""
        ...


@dataclass(frozen=True, slots=True)
class IncidentPage:
    held: Context
    number: int

    def read(self) -> dict[str, Any] | None:
        with self.held.ports.store.transaction() as tx:
            found = tx.incident(self.number)
            return None if found is None else incident.together(tx, self.held, found)

    def seen(self, values: dict[str, Any], person: Person) -> Hashable:
        return incident.standing(values, person)

    def render(self, values: dict[str, Any], seen: Any) -> Rendered:
        return _rendered("incident", incident.PARTS, incident.as_seen(values, seen))


@dataclass(frozen=True, slots=True)
class OverviewPage:
    held: Context

    def read(self) -> dict[str, Any] | None:
        with self.held.ports.store.transaction() as tx:
            return overview.together(tx, self.held)

    def seen(self, values: dict[str, Any], person: Person) -> Hashable:
        return overview.standing(values, person)

    def render(self, values: dict[str, Any], seen: Any) -> Rendered:
        return _rendered("overview", overview.PARTS, overview.as_seen(values, seen))


def _rendered(folder: str, names: tuple[str, ...], values: dict[str, Any]) -> Rendered:
    parts = {name: render(f"{folder}/{name}.html", csrf="", **values) for name in names}
    marks = {name: hashlib.sha256(_GOES_BY_ITSELF.sub("", html).encode()).hexdigest() for name, html in parts.items()}
    return Rendered(values["version"], parts, marks)
