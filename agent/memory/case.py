"""Long-term memory: one closed incident as a case, made from its structured postmortem alone.

Free text never gets in: a case holds names the system gave, and what can be matched. What was recalled into an incident
carries its origin's id and is taken out first, so that a memory is never learned from as if it had happened again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from agent.database.text import shown
from agent.database.value import Value
from agent.incident import Outcome

CASE_EXPIRES: Final = timedelta(days=365)
ORIGIN: Final = "origin_id"
"""The tag of everything recalled."""

FixEffect = Literal[
    "none", "refused", "not_run", "transient", "tool_error", "helped", "ineffective", "harmful", "unclear"
]
"""What became of the fix. helped, ineffective, harmful: it ran to its end, and the alert's own signal was judged."""

_NAME_CHARS = 120
_UNCONFIRMED = 0.5
_LABELS = 40


class UnusablePostmortem(ValueError):
    """A postmortem that no case can be made of: something is missing, or contradicts something else."""


@dataclass(frozen=True, slots=True)
class PastCase(Value):
    """incident: its number. confirmed: by what the cause is known, None when it is only believed. role: the service's
    place in the graph. changes: kinds of change before the impact. asked, found_by: questions as `tool:query`, the
    latter those whose yes spoke for the cause. recalled: origins of what was shown to it; nothing of that is in here.
    """

    incident: int
    postmortem_sha256: str
    closed_at: datetime
    expires: datetime
    confidence: float
    alertname: str
    service: str | None
    labels: Mapping[str, str]
    role: str | None
    changes: tuple[str, ...]
    target: str | None
    environment: str | None
    skill: str | None
    cause: str | None
    title: str
    confirmed: str | None
    outcome: str | None
    restore_s: float | None
    action: str | None
    effect: FixEffect
    asked: tuple[str, ...]
    found_by: tuple[str, ...]
    recalled: tuple[str, ...] = ()

    @property
    def origin_id(self) -> str:
        return f"INC-{self.incident}@{self.postmortem_sha256[:12]}"

    @property
    def family(self) -> str:
        """Incidents of one family are no independent support of each other."""
        return "|".join(part or "" for part in (self.alertname, self.service, self.target))


def fingerprint_of(post: Mapping[str, Any]) -> str:
    """SHA-256 of the postmortem, but for when it was written."""
    kept = {name: value for name, value in post.items() if name != "written_at"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()


def learnable(value: Any) -> Any:
    """The same without anything that was recalled from elsewhere, at whatever depth it stands."""
    match value:
        case Mapping():
            return {name: learnable(one) for name, one in value.items() if not _recalled(one)}
        case list() | tuple():
            return [learnable(one) for one in value if not _recalled(one)]
        case _:
            return value


def _recalled(value: Any) -> bool:
    return isinstance(value, Mapping) and (ORIGIN in value or value.get("tool") == "memory")


def origins(value: Any) -> tuple[str, ...]:
    """Ids of everything that was recalled, each once, sorted."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        match waiting.pop():
            case Mapping() as row:
                if isinstance(row.get(ORIGIN), str):
                    found.add(row[ORIGIN])
                waiting += row.values()
            case list() | tuple() as rows:
                waiting += rows
            case _:
                pass
    return tuple(sorted(found))


def case_of(post: Mapping[str, Any], closed_at: datetime) -> PastCase:
    """Raises UnusablePostmortem."""
    own = learnable(post)
    try:
        case = _case(own, closed_at, fingerprint_of(post), origins(post))
        _consistent(case, own)
    except UnusablePostmortem:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as wrong:
        raise UnusablePostmortem(f"{type(wrong).__name__}: {wrong}") from wrong
    return case


def _case(own: Mapping[str, Any], closed_at: datetime, sha256: str, recalled: tuple[str, ...]) -> PastCase:
    cause, fix, labels = own["cause"], own["fix"], own["labels"]
    believed = 0.0 if cause is None else float(cause["probability"])
    confirmed = None if cause is None else cause["confirmed_by"]
    outcome = None if own["outcome"] is None else str(Outcome(own["outcome"]))
    course = [turn for turn in own["course"] if turn["status"] in {"yes", "no"}]
    return PastCase(
        incident=int(str(own["incident"]).removeprefix("INC-")),
        postmortem_sha256=sha256,
        closed_at=closed_at,
        expires=closed_at + CASE_EXPIRES,
        confidence=round(believed if confirmed else _UNCONFIRMED * believed, 4),
        alertname=_name(labels.get("alertname")) or "",
        service=_name(own["service"]),
        labels={_name(k) or "": _name(v) or "" for k, v in sorted(labels.items())[:_LABELS]},
        role=_name(own.get("role")),
        changes=tuple(sorted({_name(one) or "" for one in own.get("changes", ())})),
        target=_name(own["target"]),
        environment=_name(own.get("environment")),
        skill=_name(own["skill"]),
        cause=None if cause is None else _name(cause["id"]),
        title="" if cause is None else _name(cause["title"]) or "",
        confirmed=_name(confirmed),
        outcome=outcome,
        restore_s=_seconds(own["seconds"].get("restore")),
        action=None if fix is None else _name(fix["action"]),
        effect=effect_of(own),
        asked=tuple(dict.fromkeys(_name(turn["question"]) or "" for turn in course)),
        found_by=tuple(_name(one) or "" for one in own.get("found_by", ())),
        recalled=recalled,
    )


def _name(value: Any) -> str | None:
    """A name from outside, on one line and not endless; None stays None. Raises TypeError for what is no text."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"text was expected, not {type(value).__name__}")
    return shown(value, _NAME_CHARS)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a duration must be finite")
    return number


def effect_of(post: Mapping[str, Any]) -> FixEffect:
    """From the last run and what the verification said of it."""
    runs = [row for row in post["executions"] if row["phase"] == "run"]
    if not runs:
        return ("refused" if post.get("refused") else "none") if post["fix"] is None else "not_run"
    match runs[-1]["state"], post["outcome"]:
        case "finished", Outcome.RECOVERED:
            return "helped"
        case "finished" | "rolled_back" | "rolling_back", Outcome.REGRESSED:
            return "harmful"
        case "finished", Outcome.NOT_RECOVERED:
            return "ineffective"
        case "failed", _:
            return "tool_error"
        case "aborted", _:
            return "transient"
        case _:
            return "unclear"


def _consistent(case: PastCase, own: Mapping[str, Any]) -> None:
    """What contradicts itself teaches nothing."""
    if not 0.0 <= case.confidence <= 1.0:
        raise UnusablePostmortem(f"a confidence of {case.confidence} is none")
    if case.outcome == Outcome.RECOVERED and case.effect != "helped":
        raise UnusablePostmortem("it says that the fix brought recovery, and no fix ran to its end")
    if case.confirmed and case.cause is None:
        raise UnusablePostmortem("it confirms a cause that it does not name")
    if case.confirmed == "verified fix" and case.outcome != Outcome.RECOVERED:
        raise UnusablePostmortem("its cause is confirmed by a fix that was not verified")
    if case.cause is not None and case.cause not in own["beliefs"]:
        raise UnusablePostmortem("its cause is none of those it weighed")
