"""A skill as data: the texts of one folder of runbooks/ in, a checked value out.

SKILL.md follows the Agent Skills format: front matter of flat keys, then prose. The engine reads only
references/diagnosis.yaml and references/remediation.yaml; the prose is for people. A skill that names others under
`with` is whole only when it was composed with them: agent.runbook.compose.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import yaml

from agent.brain.entropy import bits_of
from agent.brain.parameters import DEFAULTS, BrainParameters, read_parameters
from agent.replay.case import MECHANISMS
from agent.runbook.parameters import Sources, checks_named, read_sources
from agent.runbook.predicate import Predicate, read_predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NONE_OF_THESE = "none_of_these"
"""Every skill has this cause: the world is larger than the skill."""

TOOLS = ("database", "metrics", "changes", "causal")
Tool = Literal["database", "metrics", "changes", "causal"]

Component = Literal["target", "service", "ranked"]
COMPONENTS = ("target", "service", "ranked")

UNRELATED = "unrelated"
"""How strongly a check that says nothing about a cause speaks for it, in a word that a skill may use."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class UnusableSkill(ValueError):
    """A skill that cannot be read; the message names the skill and the place."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Counts `weight` when the alert's label matches the regular expression in full."""

    label: str
    pattern: re.Pattern[str]
    weight: float


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its price. yes_given: P(yes | cause) for every cause of the skill.

    needs: checks that must be answered first. gathers: True for a check that only collects what others read.
    supports: the words the skill wrote, by cause, which may be a mechanism that only a skill composed with this one
    declares; otherwise: the word for the causes it did not name. predicate: decides yes or no from the answer's data,
    None: as the check says itself.
    """

    id: str
    tool: Tool
    query: str
    cost_s: float
    needs: tuple[str, ...]
    gathers: bool
    yes_given: Mapping[str, float]
    supports: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = UNRELATED
    predicate: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """component: 'target' when the cause lies in the database, 'service' in the alerting service, 'ranked' in the
    service that the causal ranking puts first. prior: a weight, which counts beside those of the skill's other causes.
    """

    id: str
    title: str
    prior: float
    component: Component


@dataclass(frozen=True, slots=True)
class Stop:
    """When to conclude: the leading belief, its lead over the next, and how many checks at least and at most."""

    posterior: float
    margin: float
    min_checks: int
    max_checks: int
    min_disconfirming: int


@dataclass(frozen=True, slots=True)
class Remediation:
    """A typed action for a cause. params_from: the check whose evidence holds the parameters; params: where in it, in
    the format that agent.runbook.parameters describes, None for "by name at the top of the data".
    """

    id: str
    cause: str
    action: str
    params_from: str
    roll_back_on_regression: bool
    params: Sources = None


class Likelihood(NamedTuple):
    """What an answer to a check tells of the causes, one value each: P(no | cause), P(yes | cause), and how uncertain
    the answer is, in bits, where the cause is known.
    """

    no: tuple[float, ...]
    yes: tuple[float, ...]
    bits: tuple[float, ...]

    @classmethod
    def of(cls, yes: tuple[float, ...]) -> Likelihood:
        return cls(tuple(1 - chance for chance in yes), yes, tuple(map(bits_of, yes)))


@dataclass(frozen=True, slots=True)
class Skill:
    """composed_with: the skills whose causes and checks are added to its own, and how much their priors weigh.
    excluded: a label that matches one of them makes the skill unfit. pins: sha256 of each file set it was made from, by
    skill name; empty where it came from no store.

    Worked out once, since an investigation needs them after every answer, each in the order of causes: prior_shares,
    P(cause); likelihoods, by check, of those that do not only gather.
    """

    name: str
    description: str
    version: str
    body: str
    matchers: tuple[Matcher, ...]
    match_at_least: float
    needs_target: bool
    causes: Mapping[str, Cause]
    checks: Mapping[str, Check]
    first: tuple[str, ...]
    stop: Stop
    remediations: tuple[Remediation, ...]
    parameters: BrainParameters = DEFAULTS
    composed_with: Mapping[str, float] = field(default_factory=dict)
    excluded: tuple[Matcher, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    prior_shares: tuple[float, ...] = field(init=False, repr=False, compare=False)
    likelihoods: Mapping[str, Likelihood] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        total = sum(cause.prior for cause in self.causes.values())
        object.__setattr__(self, "prior_shares", tuple(cause.prior / total for cause in self.causes.values()))
        each = {
            name: Likelihood.of(tuple(check.yes_given[cause] for cause in self.causes))
            for name, check in self.checks.items()
            if not check.gathers
        }
        object.__setattr__(self, "likelihoods", each)

    def priors(self) -> dict[str, float]:
        return dict(zip(self.causes, self.prior_shares, strict=True))

    def remedy(self, cause: str) -> Remediation | None:
        """The first remediation for a cause; None where a human must think."""
        return next((fix for fix in self.remediations if fix.cause == cause), None)


def first_service(ranked: Sequence[Mapping[str, Any]], target: str | None) -> str | None:
    """Of a ranking's services, best first, the first that is not the target; a cause that lies there says so itself.

    None: there is none.
    """
    return next((str(one["service"]) for one in ranked if one["service"] != target), None)


def read(folder: str, files: Mapping[str, str]) -> Skill:
    """Skill from the texts of its folder, by path within it. Raises UnusableSkill."""
    try:
        front, body = _front_matter(files["SKILL.md"])
        diagnosis = _yaml("references/diagnosis.yaml", files["references/diagnosis.yaml"])
        remediation = _yaml("references/remediation.yaml", files.get("references/remediation.yaml", "remediations: []"))
        return _skill(folder, front, body, diagnosis, remediation)
    except KeyError as missing:
        raise UnusableSkill(f"skill {folder}: {missing.args[0]} is missing") from missing
    except (yaml.YAMLError, TypeError, ValueError, AttributeError, RecursionError, re.error) as wrong:
        raise UnusableSkill(f"skill {folder}: {wrong}") from wrong


def _yaml(path: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise ValueError(f"{path}: {' '.join(str(wrong).split())}") from wrong


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0]:  # noqa: PLR2004 nothing, the front matter, the prose
        raise ValueError("SKILL.md does not open with front matter between two lines of ---")
    _, front, body = parts
    return yaml.safe_load(front), body.strip()


def _skill(
    folder: str, front: Mapping[str, Any], body: str, diagnosis: Mapping[str, Any], remediation: Mapping[str, Any]
) -> Skill:
    name = front["name"]
    if name != folder or not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} must be the folder's name in lower-case words joined by hyphens")
    causes = {key: _cause(key, row) for key, row in diagnosis["causes"].items()}
    if NONE_OF_THESE not in causes:
        raise ValueError(f"causes must hold {NONE_OF_THESE}")
    parameters, composed_with = read_parameters(diagnosis.get("brain")), _composed_with(name, diagnosis.get("with", {}))
    checks = _checks(diagnosis["checks"], tuple(causes), parameters)
    first, stop = tuple(diagnosis.get("first", ())), _stop(diagnosis["stop"])
    fixes = tuple(_remediation(row) for row in remediation["remediations"])
    match = diagnosis.get("match", {})
    skill = Skill(
        name=name,
        description=front["description"],
        version=str(front.get("metadata", {}).get("stanch.version", "1")),
        body=body,
        matchers=_matchers(match.get("any", ())),
        match_at_least=float(match.get("at_least", 1.0)),
        needs_target=bool(match.get("needs_target", False)),
        causes=causes,
        checks=checks,
        first=first,
        stop=stop,
        remediations=fixes,
        parameters=parameters,
        composed_with=composed_with,
        excluded=_matchers(match.get("none", ())),
    )
    if not composed_with:  # else the others declare causes and checks, too: agent.runbook.compose looks
        hold_together(skill)
    return skill


def _matchers(rows: Iterable[Mapping[str, Any]]) -> tuple[Matcher, ...]:
    return tuple(
        Matcher(row["label"], re.compile(row["matches"]), _positive("weight of a matcher", row.get("weight", 1.0)))
        for row in rows
    )


def _composed_with(name: str, written: Mapping[str, Any]) -> dict[str, float]:
    others = {str(other): _positive(f"weight of {other}", weight) for other, weight in written.items()}
    if name in others:
        raise ValueError("with: a skill cannot be composed with itself")
    return others


def hold_together(skill: Skill) -> None:
    """Whether all that a whole skill names is declared and can be reached. Raises ValueError."""
    checks = skill.checks
    for check in checks.values():
        _all_known("cause", {**skill.causes, **MECHANISMS}, list(check.supports))
    _all_known("check", checks, [*skill.first, *(need for check in checks.values() for need in check.needs)])
    fixes = skill.remediations
    _all_known("check", checks, [name for fix in fixes for name in (fix.params_from, *checks_named(fix.params))])
    _all_known("cause", skill.causes, [fix.cause for fix in fixes])
    _startable(checks, skill.first, skill.stop)


def _all_known(what: str, known: Mapping[str, Any], named: list[str]) -> None:
    for name in named:
        if name not in known:
            raise ValueError(f"{what} {name!r} is named but not declared")


def _startable(checks: Mapping[str, Check], first: tuple[str, ...], stop: Stop) -> None:
    """An investigation must be able to begin, and every check must be reachable by asking what it needs."""
    if not first:
        raise ValueError("first must name the checks to begin with")
    if len(first) > stop.max_checks:
        raise ValueError(f"first names {len(first)} checks, more than max_checks")
    if needy := [name for name in first if checks[name].needs]:
        raise ValueError(f"check {needy[0]!r} is in first, so it can need no other")
    reachable: set[str] = set()
    while added := {c.id for c in checks.values() if c.id not in reachable and reachable.issuperset(c.needs)}:
        reachable |= added
    if circular := sorted(set(checks) - reachable):
        raise ValueError(f"checks {', '.join(circular)} need each other in a circle")


def _cause(key: str, row: Mapping[str, Any]) -> Cause:
    component = row.get("component", "service")
    if component not in COMPONENTS:
        raise ValueError(f"component of {key} is none of {', '.join(COMPONENTS)}: {component!r}")
    return Cause(key, row["title"], _positive(f"prior of {key}", row["prior"]), component)


def _positive(what: str, value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{what} must be a number above 0, not {value!r}")
    return number


def _checks(rows: list[Mapping[str, Any]], causes: tuple[str, ...], parameters: BrainParameters) -> dict[str, Check]:
    checks: dict[str, Check] = {}
    for row in rows:
        check = _check(row, causes, parameters)
        if check.id in checks:
            raise ValueError(f"check {check.id!r} is declared twice")
        checks[check.id] = check
    return checks


def _check(row: Mapping[str, Any], causes: tuple[str, ...], parameters: BrainParameters) -> Check:
    tool = row["tool"]
    if tool not in TOOLS:
        raise ValueError(f"check {row['id']!r}: tool {tool!r} is none of {', '.join(TOOLS)}")
    supports, otherwise = dict(row.get("supports", {})), row.get("otherwise", UNRELATED)
    _all_known("strength", strengths(parameters), [*supports.values(), otherwise])
    return Check(
        id=row["id"],
        tool=tool,
        query=row.get("query", row["id"]),
        cost_s=_positive(f"cost_s of {row['id']}", row["cost_s"]),
        needs=tuple(row.get("needs", ())),
        gathers=bool(row.get("gathers", False)),
        yes_given=yes_given(causes, supports, otherwise, parameters),
        supports=supports,
        otherwise=otherwise,
        predicate=read_predicate(f"predicate of {row['id']}", row.get("predicate")),
    )


def strengths(parameters: BrainParameters) -> Mapping[str, float]:
    """P(check says yes | cause) for each word a skill may use."""
    return {**parameters.strength(), UNRELATED: parameters.unrelated}


def yes_given(
    causes: Iterable[str], supports: Mapping[str, str], otherwise: str, parameters: BrainParameters
) -> dict[str, float]:
    """P(yes | cause) for every cause, out of words."""
    known = strengths(parameters)
    return {cause: known[supports.get(cause, otherwise)] for cause in causes}


def _stop(row: Mapping[str, Any]) -> Stop:
    stop = Stop(
        posterior=float(row["posterior"]),
        margin=float(row["margin"]),
        min_checks=int(row["min_checks"]),
        max_checks=int(row["max_checks"]),
        min_disconfirming=int(row["min_disconfirming"]),
    )
    # Half, so that no two causes can both reach it.
    if not (0.5 <= stop.posterior < 1 and 0 <= stop.margin < 1):  # noqa: PLR2004 said above
        raise ValueError("stop: posterior must be in [0.5, 1) and margin in [0, 1)")
    if not 1 <= stop.min_checks <= stop.max_checks:
        raise ValueError("stop: min_checks must be at least 1 and at most max_checks")
    return stop


def _remediation(row: Mapping[str, Any]) -> Remediation:
    return Remediation(
        id=row["id"],
        cause=row["cause"],
        action=row["action"],
        params_from=row["params_from"],
        roll_back_on_regression=row["rollback"] == "on_regression",
        params=read_sources(row.get("params")),
    )
