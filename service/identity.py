"""Who is asking: personal API tokens, kept only as hashes, and what somebody who logged in may do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import yaml
from itsdangerous import URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Role = Literal["viewer", "responder", "approver", "admin"]

FRESH_LOGIN_S = 300.0
"""How long ago somebody may have shown who they are when they decide on what cannot be undone."""
TOKEN_PREFIX = "stn_"  # noqa: S105 a prefix that secret scanners can look for, not a token


class TokenEntry(BaseModel):
    """One line of the tokens file. sha256: hex digest of the token, which itself is nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person: str = Field(min_length=1, max_length=200)
    roles: tuple[Role, ...]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Person:
    """login_age_s: seconds since this person last showed who they are; None for a request that carries a token."""

    name: str
    roles: frozenset[Role]
    login_age_s: float | None = None

    @property
    def logged_in_just_now(self) -> bool:
        return self.login_age_s is not None and self.login_age_s <= FRESH_LOGIN_S

    def may(self, role: Role) -> bool:
        return role in self.roles or "admin" in self.roles


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(path: Path | None) -> tuple[TokenEntry, ...]:
    """Empty when no file is configured: then nobody gets in. Raises UnusableSettings."""
    if path is None:
        return ()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        return tuple(TypeAdapter(list[TokenEntry]).validate_python(document))
    except OSError as error:
        raise UnusableSettings(f"STANCH_API_TOKENS_FILE: {error.strerror}: {path}") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise UnusableSettings(f"{path}: expected a list of {{person, roles, sha256}}") from error


@dataclass(frozen=True, slots=True)
class Identities:
    """Knows tokens of the file and what people may do. state_signer: for what a login carries to another site and back.

    people and groups: roles by name and by group of the identity provider, from stanch.yaml.
    """

    entries: tuple[TokenEntry, ...]
    state_signer: URLSafeTimedSerializer
    csrf_key: bytes
    people: Mapping[str, frozenset[Role]]
    groups: Mapping[str, frozenset[Role]]

    @classmethod
    def of(
        cls,
        entries: tuple[TokenEntry, ...],
        secret: str,
        people: Mapping[str, frozenset[Role]] | None = None,
        groups: Mapping[str, frozenset[Role]] | None = None,
    ) -> Identities:
        state_key = hmac.digest(secret.encode(), b"stanch login state", "sha256").hex()
        csrf_key = hmac.digest(secret.encode(), b"stanch csrf", "sha256")
        return cls(entries, URLSafeTimedSerializer(state_key, salt="login"), csrf_key, people or {}, groups or {})

    def by_token(self, token: str) -> Person | None:
        """Every entry is compared, in constant time each."""
        hashed = token_hash(token)
        found = [entry for entry in self.entries if hmac.compare_digest(entry.sha256, hashed)]
        return Person(found[0].person, frozenset(found[0].roles)) if found else None

    def by_name(self, name: str, groups: Iterable[str] = (), login_age_s: float | None = None) -> Person | None:
        """Somebody who showed who they are elsewhere, with the roles of now; None when nobody gave them any."""
        roles: frozenset[Role] = frozenset(
            role for entry in self.entries if entry.person == name for role in entry.roles
        )
        roles |= self.people.get(name, frozenset())
        for group in groups:
            roles |= self.groups.get(group, frozenset())
        return Person(name, roles, login_age_s) if roles else None

    def csrf(self, cookie: str) -> str:
        """Belongs to one session; a form sends it back."""
        return hmac.digest(self.csrf_key, cookie.encode("utf-8", "surrogatepass"), "sha256").hex()

    def csrf_holds(self, cookie: str, sent: str) -> bool:
        return hmac.compare_digest(self.csrf(cookie).encode(), sent.encode("utf-8", "surrogatepass"))
