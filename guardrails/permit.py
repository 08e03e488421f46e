"""Who signed what: the document an approver sees, its digest, and one Ed25519 signature an approver."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardrails.action import Action, Rendered, action_to_params
from guardrails.canonical import Json, UnusableDocument, canonical, digest, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "DOCUMENT_VERSION",
    "Permit",
    "SigningKey",
    "UnusableDocument",
    "UnusableKey",
    "VerifyKeys",
    "canonical",
    "digest",
    "proposal_document",
    "sign",
    "verify",
]

DOCUMENT_VERSION = 1
_KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class UnusableKey(ValueError):
    """A key text that is no Ed25519 key. The message never repeats the text."""


@dataclass(frozen=True, slots=True)
class Permit:
    """One person's signature under one digest of one approval. signature is base64."""

    approval_id: str
    digest: str
    person: str
    decided_at: datetime
    key_id: str
    signature: str


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """The API process's private key. Its repr shows the key id only."""

    key_id: str
    _private: Ed25519PrivateKey

    @classmethod
    def from_text(cls, text: str) -> SigningKey:
        """From base64 of the 32 seed bytes, with an optional `keyid:` in front.

        Raises:
            UnusableKey: anything else.
        """
        key_id, encoded = _split(text)
        private = Ed25519PrivateKey.from_private_bytes(_key_bytes(encoded))
        return cls(key_id or _derived_id(private.public_key()), private)

    @classmethod
    def generate(cls, key_id: str | None = None) -> SigningKey:
        private = Ed25519PrivateKey.generate()
        return cls(_checked_id(key_id) if key_id else _derived_id(private.public_key()), private)

    def text(self) -> str:
        """The secret itself, as from_text() reads it."""
        return f"{self.key_id}:{_base64(self._private.private_bytes_raw())}"

    def public_text(self) -> str:
        """One entry for VERIFY_KEYS."""
        return f"{self.key_id}:{_base64(_raw(self._private.public_key()))}"

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r})"

    def _sign(self, message: bytes) -> str:
        return _base64(self._private.sign(message))


@dataclass(frozen=True, slots=True)
class VerifyKeys:
    """The public keys an executor trusts, by key id. Empty trusts nobody."""

    _keys: Mapping[str, Ed25519PublicKey]

    @classmethod
    def from_text(cls, text: str) -> VerifyKeys:
        """From `keyid:base64public` entries, comma-separated; two during a rotation.

        Raises:
            UnusableKey: an entry without a key id, a key id twice, or no Ed25519 public key.
        """
        keys: dict[str, Ed25519PublicKey] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            key_id, encoded = _split(entry)
            if not key_id:
                raise UnusableKey("a verify key needs its key id: keyid:base64")
            if key_id in keys:
                raise UnusableKey(f"the key id {key_id} is given twice")
            keys[key_id] = Ed25519PublicKey.from_public_bytes(_key_bytes(encoded))
        return cls(keys)

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    def _accepts(self, key_id: str, message: bytes, signature: bytes) -> bool:
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def proposal_document(
    *,
    incident: str,
    proposal: str,
    revision: int,
    target_kind: str,
    target_identity: Json,
    action: Action,
    rendered: Rendered,
    verification: Json,
    decide_by: datetime,
    start_by: datetime,
    approvers_needed: int,
) -> dict[str, Json]:
    """Exactly what an approver signs; nothing outside it binds the executor."""
    return {
        "v": DOCUMENT_VERSION,
        "incident": incident,
        "proposal": proposal,
        "revision": revision,
        "target": {"kind": target_kind, "identity": target_identity},
        "action": action.kind,
        "params": action_to_params(action),
        "command": rendered.command,
        "cleanup": rendered.cleanup,
        "rollback": rendered.rollback,
        "verification": verification,
        "decide_by": timestamp(decide_by),
        "start_by": timestamp(start_by),
        "approvers_needed": approvers_needed,
    }


def sign(key: SigningKey, *, approval_id: str, digest: str, person: str, decided_at: datetime) -> Permit:
    """One person's approval, inside the deciding transaction of the API process."""
    message = _message(approval_id, digest, person, decided_at, key.key_id)
    return Permit(approval_id, digest, person, decided_at, key.key_id, key._sign(message))  # noqa: SLF001 its own module


def verify(keys: VerifyKeys, permit: Permit) -> bool:
    """Whether the signature is by a key we trust over exactly these fields."""
    try:
        signature = base64.b64decode(permit.signature, validate=True)
        message = _message(permit.approval_id, permit.digest, permit.person, permit.decided_at, permit.key_id)
    except (binascii.Error, ValueError):
        return False
    return keys._accepts(permit.key_id, message, signature)  # noqa: SLF001 its own module


def _message(approval_id: str, digest: str, person: str, decided_at: datetime, key_id: str) -> bytes:
    # The purpose keeps a signature over anything else of ours from passing as an approval.
    return canonical(
        {
            "purpose": "stanch approval",
            "v": DOCUMENT_VERSION,
            "approval": approval_id,
            "digest": digest,
            "person": person,
            "decided_at": timestamp(decided_at),
            "key": key_id,
        }
    )


def _split(text: str) -> tuple[str, str]:
    key_id, colon, encoded = text.strip().rpartition(":")
    return (_checked_id(key_id) if colon else ""), encoded


def _checked_id(key_id: str) -> str:
    if not _KEY_ID.fullmatch(key_id):
        raise UnusableKey("a key id is 1 to 64 letters, digits, dots, dashes or underscores")
    return key_id


def _key_bytes(encoded: str) -> bytes:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableKey("a key is base64 of 32 bytes") from None  # the chain would repeat the secret
    if len(raw) != _KEY_BYTES:
        raise UnusableKey(f"a key is base64 of {_KEY_BYTES} bytes, not {len(raw)}")
    return raw


def _derived_id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(_raw(public)).hexdigest()[:16]


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
