"""May this be done? judge() answers before a person is asked; admit() answers when the executor is about to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.action import Action, Rendered, UnknownAction, action_from_params, action_to_params, render
from guardrails.approved import SEAL, Approved
from guardrails.canonical import Json, UnusableDocument, digest, moment
from guardrails.permit import DOCUMENT_VERSION, Permit, VerifyKeys, verify
from guardrails.policy import PRODUCTION, Policy
from guardrails.preflight import preflight
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import UNKNOWN_RELATIONS, LockTaken, Mode
from guardrails.sql.locks import locks_of, strongest
from guardrails.sql.rendered import differences
from guardrails.verdict import RISKS, Finding, Refused, Risk, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from guardrails.facts import Facts


RISK_IN_PRODUCTION: Mapping[str, Risk] = {
    "create_index_concurrently": "medium",
    "create_partitioned_index": "medium",
    "drop_index_concurrently": "medium",
    "reindex_index_concurrently": "medium",
    "analyze_table": "low",
    "vacuum_table": "low",
    "set_statistics_target": "low",
    "create_statistics": "low",
    "set_table_storage": "medium",
    "add_constraint_not_valid": "medium",
    "validate_constraint": "low",
    "cancel_backend": "medium",
    "terminate_backend": "medium",
    "set_role_setting": "medium",
    "alter_system_reload": "high",
    "rollback_prepared": "high",
    "drop_replication_slot": "high",
}
"""high: it cannot be undone, or reaches the whole server. Elsewhere than in production each counts one less."""


def judge(action: Action, facts: Facts, policy: Policy, *, proposal_id: str) -> Verdict:
    """Renders the action, reads the rendering back, names its locks and weighs what is known of the target.

    proposal_id goes into the names of created objects, so it must be the one the proposal is stored under.
    """
    rendered = render(action, proposal_id)
    findings = tuple(_own_errors(action, rendered)) + preflight(action, rendered, facts, policy)
    risk = risk_of(action, facts.environment, _table_bytes(action, facts), policy, facts.now)
    return Verdict(
        allowed=all(finding.level != "refuse" for finding in findings),
        risk=risk,
        approvers_needed=policy.approvers_needed(risk),
        locks=_locks(rendered),
        findings=findings,
        rendered=rendered,
    )


def risk_of(action: Action, environment: str, table_bytes: int | None, policy: Policy, now: datetime) -> Risk:
    """From what is done, where, when, and to how much data. table_bytes None = not visible."""
    if table_bytes is not None and table_bytes >= policy.large_table_bytes:
        return "high"
    level = RISKS.index(RISK_IN_PRODUCTION[action.kind])
    if (environment or PRODUCTION) != PRODUCTION:
        level -= 1
    if policy.is_busy(now):
        level += 1
    return RISKS[min(max(level, 0), len(RISKS) - 1)]


def admit(
    *,
    kind: str,
    params: Mapping[str, Json],
    document: Mapping[str, Json],
    approval_id: str,
    approved_digest: str,
    permits: Sequence[Permit],
    policy: Policy,
    keys: VerifyKeys,
    target: str,
    target_identity: Json,
    environment: str,
    now: datetime,
    paused: str | None,
    facts: Facts | None = None,
    proposer: str | None = None,
) -> Approved[Action] | Refused:
    """The only maker of Approved; called by the executor, which trusts nothing but its own policy, keys and clock.

    document is the signed one; approved_digest and approval_id come from the store's approval row; target_identity is
    read from the connection the command will run on; now is the store's clock; paused is the reason of the kill switch,
    None when it is off; proposer is the person who edited the proposal, None the agent. facts None leaves the target's
    state to a later preflight and cannot lower what is needed.
    """
    try:
        action = action_from_params(kind, params)
        rendered = render(action, _text(document, "proposal"))
        start_by = moment(_text(document, "start_by"))
        reasons = [
            *_document_reasons(action, rendered, document, approved_digest, target_identity),
            *_time_reasons(document, start_by, now, paused, policy, action),
        ]
        risk = risk_of(action, environment, None if facts is None else _table_bytes(action, facts), policy, now)
        needed = max(policy.approvers_needed(risk), _count(document, "approvers_needed"))
        people, permit_reasons = _signers(
            permits, approval_id, approved_digest, document, policy, keys, _For(target, environment, proposer)
        )
    except (UnknownAction, UnusableDocument) as error:
        return Refused((str(error),))
    if len(people) < needed:
        reasons += [*permit_reasons, f"{len(people)} of {needed} needed approvers signed this"]
    if facts is not None:
        found = preflight(action, rendered, facts, policy)
        reasons += [finding.why for finding in found if finding.level == "refuse"]
    if reasons:
        return Refused(tuple(reasons))
    return Approved(action, rendered, approval_id, approved_digest, people, start_by, SEAL)


def _own_errors(action: Action, rendered: Rendered) -> list[Finding]:
    return [
        Finding("rendering", "refuse", difference, "report this as a defect of Stanch; nothing was run")
        for difference in differences(action, rendered)
    ]


def _locks(rendered: Rendered) -> tuple[LockTaken, ...]:
    try:
        return strongest(lock for step in rendered.steps for lock in locks_of(step))
    except Unreadable:
        return (LockTaken(UNKNOWN_RELATIONS, Mode.ACCESS_EXCLUSIVE.spelling),)


def _table_bytes(action: Action, facts: Facts) -> int | None:
    table = facts.table(action.schema, action.table)
    return None if table is None else table.bytes


def _document_reasons(
    action: Action, rendered: Rendered, document: Mapping[str, Json], approved_digest: str, target_identity: Json
) -> list[str]:
    reasons = []
    if digest(document) != approved_digest:
        reasons.append("the document does not have the digest that was approved")
    expected: dict[str, Json] = {
        "v": DOCUMENT_VERSION,
        "action": action.kind,
        "params": action_to_params(action),
        "command": rendered.command,
        "cleanup": rendered.cleanup,
        "rollback": rendered.rollback,
    }
    reasons += [
        f"{key} differs from what was approved" for key, value in expected.items() if document.get(key) != value
    ]
    target = document.get("target")
    if not isinstance(target, Mapping) or target.get("identity") != target_identity:
        reasons.append("the connection leads to another target than the approved one")
    if differences(action, rendered):
        reasons.append("the rendered command does not read back as the action")
    return reasons


def _time_reasons(
    document: Mapping[str, Json],
    start_by: datetime,
    now: datetime,
    paused: str | None,
    policy: Policy,
    action: Action,
) -> list[str]:
    reasons = []
    if now >= start_by:
        reasons.append(f"the approval had to be started by {start_by.isoformat()}")
    if moment(_text(document, "decide_by")) > start_by:
        reasons.append("the document's start limit lies before its decision limit")
    if paused is not None:
        reasons.append(f"paused: {paused}")
    freeze = policy.frozen_by(now)
    if freeze is not None:
        reasons.append(f"changes are frozen until {freeze.ends.isoformat()}: {freeze.reason}")
    if action.kind in policy.never:
        reasons.append(f"the policy never allows {action.kind}")
    return reasons


@dataclass(frozen=True, slots=True)
class _For:
    """What is approved: where, and by whom it was proposed."""

    target: str
    environment: str
    proposer: str | None


def _signers(
    permits: Sequence[Permit],
    approval_id: str,
    approved_digest: str,
    document: Mapping[str, Json],
    policy: Policy,
    keys: VerifyKeys,
    asked: _For,
) -> tuple[tuple[str, ...], list[str]]:
    """The distinct people whose permits count, and why the others do not."""
    decide_by = moment(_text(document, "decide_by"))
    people: dict[str, None] = {}
    reasons: list[str] = []
    for permit in permits:
        if permit.approval_id != approval_id or permit.digest != approved_digest:
            reasons.append("a permit belongs to another approval or another digest")
        elif permit.key_id not in keys.key_ids:
            reasons.append(f"a permit is signed with the unknown key {permit.key_id[:64]!a}")
        elif not verify(keys, permit):
            reasons.append("a permit's signature does not match")
        elif permit.decided_at > decide_by:
            reasons.append(f"{permit.person} decided after the limit")
        elif not policy.may_approve(
            permit.person, asked.target, proposer=asked.proposer, environment=asked.environment
        ):
            own = ", being its own proposer" if permit.person == asked.proposer else ""
            reasons.append(f"{permit.person} may not approve for {asked.target}{own}")
        else:
            people[permit.person] = None
    return tuple(people), reasons


def _text(document: Mapping[str, Json], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise UnusableDocument(f"the document's {key} is no text")
    return value


def _count(document: Mapping[str, Json], key: str) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnusableDocument(f"the document's {key} is no positive whole number")
    return value
