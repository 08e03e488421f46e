"""One proposal, judged, signed and ready to be tampered with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from guardrails.action import Action, CreateIndexConcurrently, action_to_params, render
from guardrails.facts import Facts, TableFacts
from guardrails.judge import admit
from guardrails.permit import Permit, SigningKey, VerifyKeys, digest, proposal_document, sign
from guardrails.policy import Policy

if TYPE_CHECKING:
    from guardrails.approved import Approved
    from guardrails.verdict import Refused

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ORDERS = CreateIndexConcurrently("public", "orders", ("customer_id",))
IDENTITY = {"system_identifier": "7301234567890123456", "database": "shop"}
POLICY = Policy.from_mapping({"approvers": ["ada", "bob", {"person": "eve", "targets": ["elsewhere"]}]})
KEY = SigningKey.generate("api-1")


def facts(**changes: Any) -> Facts:
    known: dict[str, Any] = {
        "now": NOW,
        "target": "shop",
        "environment": "production",
        "server_version_num": 150018,
        "catalog": (TableFacts("public", "orders", ("id", "customer_id"), rows=2_000_000, bytes=2**30),),
        "free_disk_bytes": 2**40,
    }
    return Facts(**known | changes)


def document(action: Action = ORDERS, **changes: Any) -> dict[str, Any]:
    return dict(
        proposal_document(
            incident="INC-1",
            proposal="P-1",
            revision=1,
            target_kind="postgresql",
            target_identity=IDENTITY,
            action=action,
            rendered=render(action, "P-1"),
            verification={"window_s": 30},
            decide_by=NOW + timedelta(seconds=900),
            start_by=NOW + timedelta(seconds=2700),
            approvers_needed=1,
        )
        | changes
    )


def permit(person: str = "ada", signed: dict[str, Any] | None = None, key: SigningKey = KEY, **changes: Any) -> Permit:
    fields: dict[str, Any] = {"approval_id": "A-1", "digest": digest(signed or document()), "decided_at": NOW}
    return sign(key, person=person, **fields | changes)


@dataclass
class Attempt:
    """What the executor hands to admit(); each test spoils one part."""

    document: dict[str, Any] = field(default_factory=document)
    permits: list[Permit] = field(default_factory=lambda: [permit()])
    changes: dict[str, Any] = field(default_factory=dict)

    def admitted(self) -> Approved[Action] | Refused:
        arguments: dict[str, Any] = {
            "kind": ORDERS.kind,
            "params": action_to_params(ORDERS),
            "document": self.document,
            "approval_id": "A-1",
            "approved_digest": digest(document()),
            "permits": self.permits,
            "policy": POLICY,
            "keys": VerifyKeys.from_text(KEY.public_text()),
            "target": "shop",
            "target_identity": IDENTITY,
            "environment": "production",
            "now": NOW + timedelta(seconds=60),
            "paused": None,
        }
        return admit(**arguments | self.changes)
