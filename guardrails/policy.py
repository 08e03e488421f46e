"""Who may approve what, how many of them, how fast and when never: data from stanch.yaml, with safe defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TypeAlias

from guardrails.action import KINDS
from guardrails.canonical import UnusableDocument, moment
from guardrails.verdict import RISKS, Risk

CHANNELS = frozenset({"api", "dashboard", "slack"})
"""Where a decision can be made; api is the command line too. What cannot be undone is not decided in a chat."""
PRODUCTION = "production"
"""An environment nobody named counts as this one."""


class UnusablePolicy(ValueError):
    """stanch.yaml says something we do not understand; starting anyway could approve too much."""


@dataclass(frozen=True, slots=True)
class Approver:
    """A person on the list. targets empty = every target."""

    person: str
    targets: frozenset[str] = frozenset()

    def covers(self, target: str) -> bool:
        return not self.targets or target in self.targets


@dataclass(frozen=True, slots=True)
class Freeze:
    """No action starts from its beginning until its end."""

    begins: datetime
    ends: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class BusyHours:
    """Every risk counts one more on these weekdays (0 = Monday) from begins until ends, in UTC."""

    days: frozenset[int]
    begins: time
    ends: time

    def holds(self, now: datetime) -> bool:
        clock = now.astimezone(UTC)
        return clock.weekday() in self.days and self.begins <= clock.time() < self.ends


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most this many executions within the last window_s on one target."""

    executions: int = 6
    window_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one installation. An empty approver list means nobody may approve.

    decide_within_s runs from the proposal, start_within_s from the decision limit. large_table_bytes raises the risk.
    escalate_after_s after the proposal those in escalate_to are told that nobody has decided; empty = the approvers.
    channels_by_risk says where a decision may be made.
    """

    approvers: tuple[Approver, ...] = ()
    decide_within_s: float = 900.0
    start_within_s: float = 1800.0
    escalate_after_s: float = 300.0
    escalate_to: tuple[str, ...] = ()
    approvers_by_risk: tuple[int, int, int] = (1, 1, 2)
    channels_by_risk: tuple[frozenset[str], frozenset[str], frozenset[str]] = (CHANNELS, CHANNELS, CHANNELS - {"slack"})
    self_approval_in: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    freezes: tuple[Freeze, ...] = ()
    busy_hours: tuple[BusyHours, ...] = ()
    rate_limit: RateLimit = RateLimit()
    large_table_bytes: int = 500 * 1024**3
    long_transaction_s: float = 60.0

    @classmethod
    def from_mapping(cls, document: Mapping[str, object]) -> Policy:
        """From the `policy` and `approvers` sections of stanch.yaml; either may be missing.

        Raises:
            UnusablePolicy: an unknown key, a wrong type, a number out of range, a freeze that ends before it begins.
        """
        section = _mapping("policy", _or(document.get("policy"), {}))
        if unknown := sorted(set(section) - _KEYS):
            raise UnusablePolicy(f"policy has no key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
        default = cls()
        return cls(
            approvers=_approvers(document.get("approvers")),
            decide_within_s=_seconds(section, "decide_within_s", default.decide_within_s),
            start_within_s=_seconds(section, "start_within_s", default.start_within_s),
            escalate_after_s=_seconds(section, "escalate_after_s", default.escalate_after_s),
            escalate_to=_people(_or(section.get("escalate_to"), ())),
            approvers_by_risk=_by_risk(_or(section.get("approvers_needed"), {}), default.approvers_by_risk),
            channels_by_risk=_channels(_or(section.get("channels"), {}), default.channels_by_risk),
            self_approval_in=_environments(_or(section.get("self_approval_in"), ())),
            never=_never(_or(section.get("never"), ())),
            freezes=_freezes(_or(section.get("freeze"), ())),
            busy_hours=_busy_hours(_or(section.get("busy_hours"), ())),
            rate_limit=_rate_limit(_or(section.get("rate_limit"), {})),
            large_table_bytes=int(_number(section, "large_table_bytes", default.large_table_bytes)),
            long_transaction_s=_seconds(section, "long_transaction_s", default.long_transaction_s),
        )

    def approvers_needed(self, risk: Risk) -> int:
        return self.approvers_by_risk[RISKS.index(risk)]

    def channels(self, risk: Risk) -> frozenset[str]:
        return self.channels_by_risk[RISKS.index(risk)]

    def told_when_nobody_decides(self, target: str) -> tuple[str, ...]:
        """Whom an escalation names: escalate_to, else everybody who may approve for the target."""
        return self.escalate_to or tuple(one.person for one in self.approvers if one.covers(target))

    def may_approve(self, person: str, target: str, *, proposer: str | None = None, environment: str = "") -> bool:
        """Whether this person's decision counts for this target. proposer None = the agent proposed it."""
        if proposer is not None and person == proposer and (environment or PRODUCTION) not in self.self_approval_in:
            return False
        return any(approver.person == person and approver.covers(target) for approver in self.approvers)

    def is_busy(self, now: datetime) -> bool:
        return any(hours.holds(now) for hours in self.busy_hours)

    def frozen_by(self, now: datetime) -> Freeze | None:
        """The freeze that holds now, if one does."""
        return next((freeze for freeze in self.freezes if freeze.begins <= now < freeze.ends), None)


_KEYS = frozenset(
    {
        "decide_within_s",
        "start_within_s",
        "escalate_after_s",
        "escalate_to",
        "approvers_needed",
        "channels",
        "self_approval_in",
        "never",
        "freeze",
        "busy_hours",
        "rate_limit",
        "large_table_bytes",
        "long_transaction_s",
    }
)


def _or(value: object, default: object) -> object:
    """An empty key of a YAML file (None) counts as left out; an empty list where a mapping belongs does not."""
    return default if value is None else value


def _mapping(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UnusablePolicy(f"{name} is not a mapping with text keys")
    return value


def _sequence(name: str, value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise UnusablePolicy(f"{name} is not a list")
    return list(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UnusablePolicy(f"{name} is not a text")
    return value.strip()


def _number(section: Mapping[str, object], name: str, default: float) -> float:
    value = section.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise UnusablePolicy(f"{name} is not a positive number")
    return value


def _seconds(section: Mapping[str, object], name: str, default: float) -> float:
    return float(_number(section, name, default))


def _approvers(value: object) -> tuple[Approver, ...]:
    entries = () if value is None else _sequence("approvers", value)
    approvers = tuple(_approver(entry) for entry in entries)
    people = [approver.person for approver in approvers]
    if twice := sorted({person for person in people if people.count(person) > 1}):
        raise UnusablePolicy(f"approvers names {twice[0]!r} twice")
    return approvers


def _approver(entry: object) -> Approver:
    if isinstance(entry, str):
        return Approver(_text("an approver", entry))
    section = _mapping("an approver", entry)
    if unknown := sorted(set(section) - {"person", "targets"}):
        raise UnusablePolicy(f"an approver has no key {unknown[0]!r}; known: person, targets")
    targets = section.get("targets")
    if targets is None:
        return Approver(_text("person", section.get("person")))
    names = frozenset(_text("a target", item) for item in _sequence("targets", targets))
    if not names:
        raise UnusablePolicy("an approver's targets are an empty list; leave the key out to mean every target")
    return Approver(_text("person", section.get("person")), names)


def _by_risk(value: object, default: tuple[int, int, int]) -> tuple[int, int, int]:
    section = _mapping("approvers_needed", value)
    if unknown := sorted(set(section) - set(RISKS)):
        raise UnusablePolicy(f"approvers_needed has no risk {unknown[0]!r}; known: {', '.join(RISKS)}")
    counts = [_number(section, risk, number) for risk, number in zip(RISKS, default, strict=True)]
    if any(count != int(count) for count in counts) or sorted(counts) != counts:
        raise UnusablePolicy("approvers_needed are whole numbers that do not fall as the risk rises")
    low, medium, high = (int(count) for count in counts)
    return low, medium, high


def _people(value: object) -> tuple[str, ...]:
    return tuple(_text("a person of escalate_to", item) for item in _sequence("escalate_to", value))


_ByRisk: TypeAlias = tuple[frozenset[str], frozenset[str], frozenset[str]]


def _channels(value: object, default: _ByRisk) -> _ByRisk:
    section = _mapping("channels", value)
    if unknown := sorted(set(section) - set(RISKS)):
        raise UnusablePolicy(f"channels has no risk {unknown[0]!r}; known: {', '.join(RISKS)}")
    low, medium, high = (
        _channel_names(risk, section[risk]) if section.get(risk) is not None else usual
        for risk, usual in zip(RISKS, default, strict=True)
    )
    return low, medium, high


def _channel_names(risk: str, value: object) -> frozenset[str]:
    """An empty list means that nothing of this risk can be approved anywhere."""
    names = frozenset(_text("a channel", item) for item in _sequence(f"channels for {risk}", value))
    if unknown := sorted(names - CHANNELS):
        raise UnusablePolicy(f"channels names the unknown {unknown[0]!r}; known: {', '.join(sorted(CHANNELS))}")
    return names


def _environments(value: object) -> frozenset[str]:
    names = frozenset(_text("an environment", item) for item in _sequence("self_approval_in", value))
    if PRODUCTION in names:
        raise UnusablePolicy("self_approval_in names production: nobody approves their own change there")
    return names


def _never(value: object) -> frozenset[str]:
    kinds = frozenset(_text("an action", item) for item in _sequence("never", value))
    if unknown := sorted(kinds - KINDS):
        raise UnusablePolicy(f"never names the unknown action {unknown[0]!r}; known: {', '.join(sorted(KINDS))}")
    return kinds


def _freezes(value: object) -> tuple[Freeze, ...]:
    return tuple(_freeze(_mapping("a freeze", item)) for item in _sequence("freeze", value))


def _freeze(section: Mapping[str, object]) -> Freeze:
    if unknown := sorted(set(section) - {"from", "until", "reason"}):
        raise UnusablePolicy(f"a freeze has no key {unknown[0]!r}; known: from, until, reason")
    begins, ends = _moment(section.get("from")), _moment(section.get("until"))
    if ends <= begins:
        raise UnusablePolicy("a freeze ends before it begins")
    return Freeze(begins, ends, _text("the reason of a freeze", section.get("reason")))


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _busy_hours(value: object) -> tuple[BusyHours, ...]:
    return tuple(_busy(_mapping("busy hours", item)) for item in _sequence("busy_hours", value))


def _busy(section: Mapping[str, object]) -> BusyHours:
    if unknown := sorted(set(section) - {"days", "from", "until"}):
        raise UnusablePolicy(f"busy hours have no key {unknown[0]!r}; known: days, from, until (UTC)")
    days = {_text("a day", item).lower() for item in _sequence("days", _or(section.get("days"), _DAYS))}
    if wrong := sorted(days - set(_DAYS)):
        raise UnusablePolicy(f"{wrong[0]!r} is no day; write {', '.join(_DAYS)}")
    begins, ends = _clock(section.get("from")), _clock(section.get("until"))
    if ends <= begins:
        raise UnusablePolicy("busy hours end before they begin; write two entries for a span over midnight")
    return BusyHours(frozenset(_DAYS.index(day) for day in days), begins, ends)


def _clock(value: object) -> time:
    try:
        clock = time.fromisoformat(_text("a time of day", value))
    except ValueError as error:
        raise UnusablePolicy(f"not a time of day: {value!r}; write '08:00'") from error
    if clock.tzinfo is not None:
        raise UnusablePolicy("busy hours are in UTC; leave the zone out")
    return clock


def _moment(value: object) -> datetime:
    # A YAML reader may have made a datetime of it already.
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    try:
        return moment(_text("a freeze's time", value))
    except UnusableDocument as error:
        raise UnusablePolicy(f"a freeze needs times with a zone: {error}") from error


def _rate_limit(value: object) -> RateLimit:
    section = _mapping("rate_limit", value)
    if unknown := sorted(set(section) - {"executions", "window_s"}):
        raise UnusablePolicy(f"rate_limit has no key {unknown[0]!r}; known: executions, window_s")
    default = RateLimit()
    return RateLimit(
        int(_number(section, "executions", default.executions)), _seconds(section, "window_s", default.window_s)
    )
