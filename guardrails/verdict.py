"""What the judge says about an action, and what admission says about an approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from guardrails.action import Rendered
    from guardrails.sql.lock import LockTaken

Risk: TypeAlias = Literal["low", "medium", "high"]
Level: TypeAlias = Literal["refuse", "warn", "note"]

RISKS: tuple[Risk, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a person should know: refuse stops the action, warn is shown to the approver."""

    rule: str
    level: Level
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """May this be proposed, at which risk, with how many approvers."""

    allowed: bool
    risk: Risk
    approvers_needed: int
    locks: tuple[LockTaken, ...]
    findings: tuple[Finding, ...]
    rendered: Rendered


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an approval does not admit its action; each reason stands alone."""

    reasons: tuple[str, ...]
