"""Who is asking: personal API tokens, kept only as hashes, and signed sessions of the pages."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import yaml
from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.settings import UnusableSettings

if TYPE_CHECKING:
    from pathlib import Path

Role = Literal["viewer", "responder", "approver", "admin"]

SESSION_MAX_AGE_S = 24 * 3600
TOKEN_PREFIX = "stn_"  # noqa: S105 a prefix that secret scanners can look for, not a token


class TokenEntry(BaseModel):
    """One line of the tokens file. sha256: hex digest of the token, which itself is nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person: str = Field(min_length=1, max_length=200)
    roles: tuple[Role, ...]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    roles: frozenset[Role]

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
    """Knows tokens and sessions. signer: derived from the API's own secret."""

    entries: tuple[TokenEntry, ...]
    signer: URLSafeTimedSerializer
    csrf_key: bytes

    @classmethod
    def of(cls, entries: tuple[TokenEntry, ...], secret: str) -> Identities:
        session_key = hmac.digest(secret.encode(), b"stanch session", "sha256").hex()
        csrf_key = hmac.digest(secret.encode(), b"stanch csrf", "sha256")
        return cls(entries, URLSafeTimedSerializer(session_key, salt="session"), csrf_key)

    def by_token(self, token: str) -> Person | None:
        """Every entry is compared, in constant time each."""
        hashed = token_hash(token)
        found = [entry for entry in self.entries if hmac.compare_digest(entry.sha256, hashed)]
        return Person(found[0].person, frozenset(found[0].roles)) if found else None

    def by_name(self, name: str) -> Person | None:
        found = [entry for entry in self.entries if entry.person == name]
        return Person(name, frozenset(role for entry in found for role in entry.roles)) if found else None

    def session(self, person: Person) -> str:
        return self.signer.dumps({"person": person.name, "id": secrets.token_urlsafe(12)})

    def by_session(self, cookie: str) -> Person | None:
        """The person, with the roles of now: a token taken away ends its sessions."""
        try:
            content = self.signer.loads(cookie, max_age=SESSION_MAX_AGE_S)
        except BadSignature:
            return None
        return self.by_name(content["person"])

    def csrf(self, cookie: str) -> str:
        """Belongs to one session; a form sends it back."""
        return hmac.digest(self.csrf_key, cookie.encode(), "sha256").hex()

    def csrf_holds(self, cookie: str, sent: str) -> bool:
        return hmac.compare_digest(self.csrf(cookie).encode(), sent.encode("utf-8", "surrogatepass"))
