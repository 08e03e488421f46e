"""An approved action as the executor gets it: judged, signed and admitted for real."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from guardrails.action import Action, action_to_params, render
from guardrails.approved import Approved
from guardrails.judge import admit
from guardrails.permit import SigningKey, VerifyKeys, digest, proposal_document, sign
from guardrails.policy import Policy

if TYPE_CHECKING:
    from agent.database.snapshot import TargetIdentity

POLICY = Policy.from_mapping({"approvers": ["ada"]})
_KEY = SigningKey.generate()


def approved(
    action: Action, identity: TargetIdentity, proposal: str = "P-1", approval_id: str | None = None
) -> Approved[Action]:
    """Good for an hour from now."""
    now = datetime.now(UTC)
    approval_id = approval_id or f"A-{proposal}"
    rendered = render(action, proposal)
    target_identity = {"system_identifier": identity.system_identifier, "database": identity.database}
    document = proposal_document(
        incident="INC-1",
        proposal=proposal,
        revision=1,
        target_kind="postgresql",
        target_identity=target_identity,
        action=action,
        rendered=rendered,
        verification={},
        decide_by=now + timedelta(minutes=30),
        start_by=now + timedelta(hours=1),
        approvers_needed=1,
    )
    permit = sign(_KEY, approval_id=approval_id, digest=digest(document), person="ada", decided_at=now)
    admitted = admit(
        kind=action.kind,
        params=action_to_params(action),
        document=document,
        approval_id=approval_id,
        approved_digest=digest(document),
        permits=[permit],
        policy=POLICY,
        keys=VerifyKeys.from_text(_KEY.public_text()),
        target="shop",
        target_identity=target_identity,
        environment="staging",
        now=now,
        paused=None,
    )
    assert isinstance(admitted, Approved), admitted
    return admitted
