"""What may be counted from a postmortem: the typed fields of a verified end, and nothing anybody wrote.

A postmortem is refused where it taught nothing, and quarantined where it contradicts itself or where its prose holds
what does not belong there: a human reads it first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.learning.counts import Observation
from agent.learning.text_scan import problems
from agent.runbook.skill import NONE_OF_THESE

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "postmortem/v1"
VERIFIED_FIX = "verified fix"

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_STATUSES = frozenset({"yes", "no", "not_visible", "note"})
_OUTCOMES = frozenset({"recovered", "not_recovered", "regressed", "inconclusive", "self_resolved", "no_action"})
_NAMED_BY_STANCH = frozenset({"verification", "attribution", "effect"})
"""Evidence that is no check of the skill's."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """observations: what to count. fix: (cause, outcome) of the action that ran."""

    incident: str
    skill: str
    observations: tuple[Observation, ...]
    fix: tuple[str, str]


@dataclass(frozen=True, slots=True)
class NotLearntFrom:
    """refused: it taught nothing about a cause. quarantined: somebody should look."""

    incident: str
    kind: Literal["refused", "quarantined"]
    reason: str


def evidence_of(post: Mapping[str, Any], *, age_days: float = 0.0) -> Evidence | NotLearntFrom:
    """Never raises: whatever comes in, the answer is a value with its reason."""
    name = _incident_name(post)
    contradiction = _unusable(post)
    if contradiction:
        return NotLearntFrom(name, "quarantined", contradiction)
    cause, outcome = post["cause"], post["outcome"]
    if outcome not in {"recovered", "not_recovered", "regressed"}:
        return NotLearntFrom(name, "refused", f"it ended {str(outcome).replace('_', ' ')}: no fix was verified")
    if cause is None or cause["id"] == NONE_OF_THESE:
        return NotLearntFrom(name, "refused", "no cause was settled on")
    fix = (cause["id"], outcome)
    if outcome != "recovered":
        return Evidence(name, post["skill"], (), fix)
    origin = post["service"] or "unknown"
    observed = [Observation(cause["id"], "", said_yes=True, origin=origin, age_days=age_days)]
    observed += [
        Observation(cause["id"], row["name"], said_yes=row["status"] == "yes", origin=origin, age_days=age_days)
        for row in _own_checks(post)
    ]
    return Evidence(name, post["skill"], tuple(observed), fix)


def _incident_name(post: Any) -> str:
    name = post.get("incident") if isinstance(post, Mapping) else None
    usable = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9:_-]{1,64}", name)
    return str(name) if usable else "unnamed"


def _own_checks(post: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Answered by asking, not recalled from memory: what memory told is never learnt again."""
    return [
        row
        for row in post["checks"]
        if row["status"] in {"yes", "no"} and row["name"] not in _NAMED_BY_STANCH and not row.get("recalled")
    ]


def _unusable(post: Any) -> str:
    """Why it cannot be believed; empty: it can."""
    if not isinstance(post, Mapping) or post.get("schema") != SCHEMA:
        return f"it is no {SCHEMA}"
    missing = [key for key in ("incident", "skill", "service", "outcome", "cause", "checks", "executions", "fix")
               if key not in post]  # fmt: skip
    if missing:
        return f"{missing[0]} is missing"
    if post["outcome"] is not None and post["outcome"] not in _OUTCOMES:
        return "its outcome is none that is known"
    return _hostile_names(post) or _contradiction(post) or _prose(post)


def _hostile_names(post: Mapping[str, Any]) -> str:
    cause, checks = post["cause"], post["checks"]
    if not _named(post["skill"]):
        return "its skill has no usable name"
    if post["service"] is not None and not _text_name(post["service"]):
        return "its service has no usable name"
    if cause is not None and not (isinstance(cause, Mapping) and _named(cause.get("id"))):
        return "its cause has no usable name"
    if not isinstance(checks, Sequence) or isinstance(checks, str):
        return "its checks are no list"
    for row in checks:
        if not (isinstance(row, Mapping) and _named(row.get("name"))):
            return "a check has no usable name"
        if row.get("status") not in _STATUSES:
            return "a check has a status that is none"
    return ""


def _contradiction(post: Mapping[str, Any]) -> str:
    cause, outcome = post["cause"], post["outcome"]
    executions = post["executions"] if isinstance(post["executions"], Sequence) else ()
    ran = any(isinstance(row, Mapping) and row.get("phase") == "run" and row.get("state") == "finished"
              for row in executions)  # fmt: skip
    confirmed = isinstance(cause, Mapping) and cause.get("confirmed_by") == VERIFIED_FIX
    if outcome == "recovered" and not (confirmed and ran and post["fix"]):
        return "it says recovered, but names no cause that a finished fix confirmed"
    if outcome != "recovered" and confirmed:
        return "it says that a fix confirmed the cause, but not that it recovered"
    said: dict[str, set[str]] = {}
    for row in _own_checks(post):
        said.setdefault(row["name"], set()).add(row["status"])
    if torn := sorted(name for name, statuses in said.items() if len(statuses) > 1):
        return f"check {torn[0]} said both yes and no"
    return ""


def _prose(post: Mapping[str, Any]) -> str:
    """Nothing of it is used; text that gives orders or hides something says that somebody tampers."""
    wanted = ("invisible character", "order to the reader")
    found = {what for text in _texts(post) for what in problems(text) if what in wanted}
    return f"its text holds an {min(found)}" if found else ""


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping() if depth < 8:  # noqa: PLR2004 a structured postmortem is five deep
            for key, item in value.items():
                if key not in {"command", "rollback"}:  # SQL that the guardrail rendered and judged
                    yield from _texts(item, depth + 1)
        case list() | tuple() if depth < 8:  # noqa: PLR2004 as above
            for item in value:
                yield from _texts(item, depth + 1)


def _named(value: Any) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _text_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", value) is not None
