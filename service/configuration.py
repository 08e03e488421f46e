"""stanch.yaml: targets, service graph, metrics, approvers, policy. It holds no secret."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agent.incident import Mode
from agent.verification import Plan
from guardrails.policy import Policy, UnusablePolicy
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


class Target(_Section):
    """A database being repaired. The files hold DSNs; a process reads only those it may."""

    diagnose_dsn_file: Path | None = None
    fix_dsn_file: Path | None = None
    signal_dsn_file: Path | None = None
    admin_dsn_file: Path | None = None
    mode: Mode = Mode.OBSERVE
    environment: str = ""
    selector: dict[str, Annotated[str, AfterValidator(_expression)]] = {}

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


class Configuration(_Section):
    targets: dict[str, Target] = {}
    graph: list[tuple[str, str]] = []
    metrics: list[Metric] = []
    slis: list[Sli] = []
    verification: Verification = Verification()
    ranking: Ranking = Ranking()
    sampling_window_s: float = Field(default=3.0, gt=0)
    approvers: list[object] = []
    policy: dict[str, object] = {}

    @cached_property
    def rules(self) -> Policy:
        """The policy as guardrails read it."""
        return Policy.from_mapping({"policy": self.policy, "approvers": self.approvers})

    def sli(self, alertname: str) -> str | None:
        return next((one.expr for one in self.slis if one.alert == alertname), None)

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
