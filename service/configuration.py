"""stanch.yaml: targets, service graph, metrics, approvers, policy. It holds no secret."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.incident import Mode
from agent.verification import Plan
from guardrails.policy import Policy, UnusablePolicy
from service.identity import Role
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _expression(pattern: str) -> str:
    """A selector that cannot be read is found at start, not at the first alert."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def _source_name(name: str) -> str:
    """It stands in an address and before a token, so it is plain."""
    if not _SOURCE_NAME.fullmatch(name):
        raise ValueError("a source's name is small letters, digits, - and _, at most 40")
    return name


class Target(_Section):
    """A database being repaired. The files hold DSNs; a process reads only those it may."""

    diagnose_dsn_file: Path | None = None
    fix_dsn_file: Path | None = None
    signal_dsn_file: Path | None = None
    admin_dsn_file: Path | None = None
    mode: Mode = Mode.OBSERVE
    environment: str = ""
    selector: dict[str, Annotated[str, AfterValidator(_expression)]] = {}

    def dsn_file(self, connection: Literal["diagnose", "fix", "signal", "admin"]) -> Path | None:
        files = {"diagnose": self.diagnose_dsn_file, "fix": self.fix_dsn_file, "signal": self.signal_dsn_file,
                 "admin": self.admin_dsn_file}  # fmt: skip
        return files[connection]

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Every label of the selector matches its regular expression in full; an empty selector matches nothing."""
        return bool(self.selector) and all(
            re.fullmatch(pattern, labels.get(name, "")) for name, pattern in self.selector.items()
        )


class Metric(_Section):
    """A family of series for the causal ranking: one series a value of service_label."""

    name: str
    query: str
    service_label: str = "service"
    kind: Literal["latency", "errors", "traffic", "saturation", "other"] = "other"


class Sli(_Section):
    """The signal of an alert whose source carries no expression."""

    alert: str
    expr: str


class JsonMapping(_Section):
    """Where a generic source's JSON says what. Each is a path of keys, divided by dots: `event.host.name`.

    alerts: the path of a list; None: the document is one alert. status: its value is compared, without regard to case,
    with firing and resolved; a value in neither is not understood. id: names the episode across notifications; None:
    the labels do. starts_at: ISO 8601 or epoch seconds; None: when it came. labels: path by label name.
    """

    alertname: str
    alerts: str | None = None
    status: str | None = None
    firing: tuple[str, ...] = ("firing", "alerting", "critical", "down", "open", "problem")
    resolved: tuple[str, ...] = ("resolved", "ok", "up", "closed", "recovery")
    id: str | None = None
    starts_at: str | None = None
    summary: str | None = None
    labels: dict[str, str] = {}
    fixed_labels: dict[str, str] = {}


HookKind = Literal["alertmanager", "pagerduty", "grafana", "generic", "changes"]


class Source(_Section):
    r"""Who sends, and what it may bring about.

    kind: which hook it posts to; None: the one of its own name. targets: the only ones its alerts may name; None: any.
    posts_per_s: more are answered 503 until later; None: as many as are stored in time. new_incidents_per_hour: what
    comes beyond them joins one incident that says so. mapping: of a generic source. services: PagerDuty's service
    names to ours. titles: a regular expression over an incident's title to an alert name; `\\1` is its first group.
    """

    kind: HookKind | None = None
    targets: tuple[str, ...] | None = None
    posts_per_s: float | None = Field(default=None, gt=0)
    new_incidents_per_hour: int = Field(default=120, ge=1)
    mapping: JsonMapping | None = None
    services: dict[str, str] = {}
    titles: dict[Annotated[str, AfterValidator(_expression)], str] = {}


class Correlation(_Section):
    """When alerts of different groups are one incident: see agent/correlation.py. window_s 0: never."""

    window_s: float = Field(default=600.0, ge=0)
    hops: int = Field(default=2, ge=0, le=10)


class Verification(_Section):
    window_s: float = Field(default=300.0, gt=0)
    deadline_s: float = Field(default=900.0, gt=0)
    step_s: float = Field(default=5.0, gt=0)

    def plan(self) -> Plan:
        return Plan(self.window_s, self.deadline_s, self.step_s)


class Ranking(_Section):
    """How much time before the alert, and after it, the causal ranking looks at."""

    before_s: float = Field(default=1800.0, gt=0)
    step_s: float = Field(default=5.0, gt=0)


class SlackPeople(_Section):
    """Which Slack user is which person. Only who stands here can do anything there; usergroup, when given, narrows
    them to its members of that moment. team: the workspace; a click from another one counts for nothing.
    """

    team: str = Field(pattern=r"^T[A-Z0-9]{1,20}$")
    people: dict[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{1,20}$")], Annotated[str, Field(min_length=1)]] = {}
    usergroup: str = Field(default="", pattern=r"^(S[A-Z0-9]{1,20})?$")


NoticeType = Literal[
    "incident.opened",
    "incident.proposed",
    "incident.escalated",
    "incident.decided",
    "incident.verified",
    "incident.needs_human",
    "incident.closed",
]


class Receiver(_Section):
    """One address that is told of our own events. events empty: all of them. allow_private: an address of your own
    network is meant.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    url: str = Field(max_length=2000)
    events: list[NoticeType] = []
    allow_private: bool = False

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write an http or https address")
        if "@" in parts.netloc:
            raise ValueError("no password in an address: this file holds no secret")
        return url


def _named_once(receivers: list[Receiver]) -> list[Receiver]:
    names = [one.name for one in receivers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {twice[0]!r} twice")
    return receivers


class Configuration(_Section):
    targets: dict[str, Target] = {}
    graph: list[tuple[str, str]] = []
    metrics: list[Metric] = []
    slis: list[Sli] = []
    sources: dict[Annotated[str, AfterValidator(_source_name)], Source] = {}
    correlation: Correlation = Correlation()
    silence_while_fixing: bool = False
    verification: Verification = Verification()
    ranking: Ranking = Ranking()
    sampling_window_s: float = Field(default=3.0, gt=0)
    people: dict[str, list[Role]] = {}
    groups: dict[str, list[Role]] = {}
    approvers: list[object] = []
    policy: dict[str, object] = {}
    slack: SlackPeople | None = None
    notices: Annotated[list[Receiver], AfterValidator(_named_once)] = []
    apprise_events: list[NoticeType] = ["incident.proposed", "incident.escalated", "incident.needs_human",
                                        "incident.closed"]  # fmt: skip

    @cached_property
    def rules(self) -> Policy:
        """The policy as guardrails read it."""
        return Policy.from_mapping({"policy": self.policy, "approvers": self.approvers})

    def sli(self, alertname: str) -> str | None:
        return next((one.expr for one in self.slis if one.alert == alertname), None)

    @model_validator(mode="after")
    def _sources_are_whole(self) -> Self:
        for name, source in self.sources.items():
            kind = source.kind or (name if name in get_args(HookKind) else None)
            if kind is None:
                raise ValueError(f"sources.{name}: its kind is missing, one of {', '.join(get_args(HookKind))}")
            if (kind == "generic") != (source.mapping is not None):
                raise ValueError(f"sources.{name}: a mapping belongs to a source of kind generic, and to no other")
            unknown = [target for target in source.targets or () if target not in self.targets]
            if unknown:
                raise ValueError(f"sources.{name}: {unknown[0]} is no target")
        return self

    def source(self, name: str) -> Source:
        """As declared, else one that may do everything its hook can."""
        return self.sources.get(name) or Source(kind=self.kind_of(name))

    def kind_of(self, name: str) -> HookKind | None:
        """The hook a source posts to; None: nobody declared it and no hook has its name."""
        declared = self.sources.get(name)
        if declared is not None and declared.kind is not None:
            return declared.kind
        return next((kind for kind in get_args(HookKind) if kind == name), None)

    def target_allowed(self, source: str, labels: Mapping[str, str]) -> tuple[str | None, str | None]:
        """The target a source's alert may act on, and the one it named but may not."""
        target = self.target_for(labels)
        allowed = self.source(source).targets
        if target is None or allowed is None or target in allowed:
            return target, None
        return None, target

    def traffic(self) -> Metric | None:
        return next((metric for metric in self.metrics if metric.kind == "traffic"), None)

    def reachable(self, service: str) -> tuple[str, ...]:
        """The service and what it calls, nearest first."""
        order, waiting = [service], [service]
        while waiting:
            caller = waiting.pop(0)
            new = [callee for one, callee in self.graph if one == caller and callee not in order]
            order += new
            waiting += new
        return tuple(order)

    def target_for(self, labels: Mapping[str, str]) -> str | None:
        """The target of an alert: by selector, else the nearest one its service calls. None: not known."""
        for name, target in self.targets.items():
            if target.selects(labels):
                return name
        return next((node for node in self.reachable(labels.get("service", "")) if node in self.targets), None)


def read(path: Path | None) -> Configuration:
    """Raises UnusableSettings with the place that is wrong. None: an empty configuration, in which nothing is a target
    and nobody may approve.
    """
    if path is None:
        return Configuration()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        configuration = Configuration.model_validate(document)
        _ = configuration.rules
    except OSError as error:
        raise UnusableSettings(f"STANCH_CONFIG: {error.strerror}: {path}") from error
    except UnicodeDecodeError as error:
        raise UnusableSettings(f"{path}: not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise UnusableSettings(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableSettings(f"{path}: {where}: {first['msg']}") from error
    except UnusablePolicy as error:
        raise UnusableSettings(f"{path}: {error}") from error
    return configuration


def dsn(path: Path | None, what: str) -> str:
    """The DSN in a file. Raises UnusableSettings."""
    if path is None:
        raise UnusableSettings(f"{what} is not configured")
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnusableSettings(f"{what}: {error.strerror}: {path}") from error
