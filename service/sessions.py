"""Sessions of the pages: a random value in the browser, its hash and everything else on our side."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.store.store import Store

Method = Literal["token", "oidc", "proxy", "dev"]

IDLE_S = 8 * 3600.0
ABSOLUTE_S = 24 * 3600.0
"""OWASP Session Management Cheat Sheet: a working day idle at most, and one login a day."""
LATELY_S = 300.0
"""Longer than any stream goes without asking the store."""


@dataclass(frozen=True, slots=True)
class Session:
    """groups: as the identity provider named them at login. now: the clock that authenticated_at is by."""

    person: str
    groups: tuple[str, ...]
    method: Method
    authenticated_at: datetime
    now: datetime

    @property
    def age_s(self) -> float:
        """Since the person last showed who they are."""
        return (self.now - self.authenticated_at).total_seconds()


class Sessions(Protocol):
    """Raises Unreachable when what keeps the sessions is away; nobody is anybody then."""

    def begin(self, person: str, method: Method, groups: tuple[str, ...] = ()) -> str:
        """The value for the cookie; it is never seen again."""
        ...

    def read(self, cookie: str) -> Session | None: ...

    def end(self, cookie: str) -> None: ...

    def ended(self, cookie: str) -> bool:
        """Whether this process ended it lately: known without the store, for what is asked often."""
        ...


@dataclass
class LatelyEnded:
    """Hashes of sessions that were ended, for as long as something that still runs may not have noticed."""

    clock: Callable[[], float] = time.monotonic
    _at: dict[str, float] = field(default_factory=dict)

    def add(self, id_hash: str) -> None:
        now = self.clock()
        self._at = {one: at for one, at in self._at.items() if now - at < LATELY_S} | {id_hash: now}

    def __contains__(self, id_hash: str) -> bool:
        return id_hash in self._at


class StoreSessions:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lately = LatelyEnded()

    def begin(self, person: str, method: Method, groups: tuple[str, ...] = ()) -> str:
        cookie = secrets.token_urlsafe(32)
        with self._store.transaction() as tx:
            tx.run("begin_session", id_hash=_hash(cookie), person=person, groups=list(groups), method=method)
            tx.audit(None, person, "LoggedIn", {"note": f"by {method}"})
        return cookie

    def read(self, cookie: str) -> Session | None:
        with self._store.transaction() as tx:
            row = tx.one("session", id_hash=_hash(cookie), idle_s=IDLE_S, absolute_s=ABSOLUTE_S)
            if row is None:
                return None
            if row["stale"]:
                tx.run("touch_session", id_hash=_hash(cookie))
        return Session(row["person"], tuple(row["groups"]), row["method"], row["authenticated_at"], row["now"])

    def end(self, cookie: str) -> None:
        with self._store.transaction() as tx:
            tx.run("end_session", id_hash=_hash(cookie))
        self._lately.add(_hash(cookie))

    def ended(self, cookie: str) -> bool:
        return _hash(cookie) in self._lately


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class MemorySessions:
    """The same without a store, for tests. now: the clock."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    held: dict[str, tuple[Session, datetime]] = field(default_factory=dict)

    def begin(self, person: str, method: Method, groups: tuple[str, ...] = ()) -> str:
        cookie = secrets.token_urlsafe(32)
        at = self.now()
        self.held[cookie] = (Session(person, groups, method, at, at), at)
        return cookie

    def read(self, cookie: str) -> Session | None:
        found, seen_at = self.held.get(cookie, (None, None))
        now = self.now()
        if found is None or seen_at is None or now - seen_at > timedelta(seconds=IDLE_S):
            return None
        if now - found.authenticated_at > timedelta(seconds=ABSOLUTE_S):
            return None
        self.held[cookie] = (found, now)
        return Session(found.person, found.groups, found.method, found.authenticated_at, now)

    def end(self, cookie: str) -> None:
        self.held.pop(cookie, None)

    def ended(self, cookie: str) -> bool:
        return cookie not in self.held
