"""History made short without a model: what must be known stays whole, what was only read becomes its figures.

Whole: the contract, the typed state (with beliefs, approvals and everything under way) and the last few results. What
is older keeps its question, the hash of its bytes, statistics and what stands out. Nothing is lost: the evidence row
has every byte, and a decision is made from the state alone, so it is the same before and after.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping  # noqa: TC003 - from_data() reads the hints
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from agent.database.text import shown
from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.incident import Incident
    from agent.runbook.skill import Skill

KEEP_LAST: Final = 3
MOST_STATISTICS: Final = 24
MOST_ANOMALIES: Final = 8
OUTLIER_MADS: Final = 5.0
"""Median absolute deviations from the median beyond which a value stands out; 3.5 is Iglewicz and Hoaglin's for normal
data, and counters have heavier tails."""
OUTLIER_VALUES: Final = 5
_MOST_LEAVES = 20_000


@dataclass(frozen=True, slots=True)
class Result(Value):
    """What one check returned, whole. evidence None: it could not be made."""

    evidence: int | None
    question: str
    status: str
    summary: str
    sha256: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figures(Value):
    """What is left of an older result. statistics: by path, [] for each element of a list: n, min, median, max."""

    evidence: int | None
    question: str
    status: str
    sha256: str
    statistics: Mapping[str, Mapping[str, float]]
    anomalies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context(Value):
    """evidence: ids of all results, in order."""

    contract: Mapping[str, Any]
    state: Mapping[str, Any]
    last: tuple[Result, ...]
    older: tuple[Figures, ...]
    evidence: tuple[int, ...]

    def text(self) -> str:
        """The same bytes for the same history."""
        return json.dumps(self.as_data(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def contract(incident: Incident, skill: Skill) -> dict[str, Any]:
    """What is asked for and what may be done: never shortened."""
    return {
        "incident": incident.key,
        "title": incident.title,
        "labels": dict(incident.labels),
        "service": incident.service,
        "target": incident.target,
        "mode": incident.mode,
        "state": incident.state,
        "skill": {"name": skill.name, "version": skill.version},
        "goal": "name the cause from evidence, propose one typed action at most, verify on the alert's own expression",
        "stop": {
            "posterior": skill.stop.posterior,
            "margin": skill.stop.margin,
            "max_checks": skill.stop.max_checks,
            "min_disconfirming": skill.stop.min_disconfirming,
        },
    }


def compress(
    contract_: Mapping[str, Any], state: Mapping[str, Any], results: Sequence[Result], *, keep_last: int = KEEP_LAST
) -> Context:
    """state: Working.as_data(). results: the oldest first."""
    cut = max(0, len(results) - keep_last)
    return Context(
        contract=dict(contract_),
        state=dict(state),
        last=tuple(results[cut:]),
        older=tuple(figures(result) for result in results[:cut]),
        evidence=tuple(result.evidence for result in results if result.evidence is not None),
    )


def figures(result: Result) -> Figures:
    values: dict[str, list[float]] = {}
    missing: dict[str, int] = {}
    for number, (path, leaf) in enumerate(_leaves(result.data, "")):
        if number >= _MOST_LEAVES:
            break
        if leaf is None:
            missing[path] = missing.get(path, 0) + 1
        elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
            values.setdefault(path, []).append(float(leaf))
    statistics = {path: _statistics(values[path]) for path in sorted(values)[:MOST_STATISTICS]}
    odd = [line for path in sorted(values) for line in _odd(path, values[path])]
    odd += [f"{path}: {count} without a value" for path, count in sorted(missing.items()) if "[]" in path]
    return Figures(
        result.evidence, result.question, result.status, result.sha256, statistics, tuple(odd[:MOST_ANOMALIES])
    )


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    match data:
        case dict():
            for name, value in data.items():
                yield from _leaves(value, f"{path}.{shown(str(name), 40)}" if path else shown(str(name), 40))
        case list() | tuple():
            for value in data:
                yield from _leaves(value, f"{path}[]")
        case _:
            yield path, data


def _statistics(values: Sequence[float]) -> dict[str, float]:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return {"n": float(len(values))}
    low, middle, high = min(finite), median(finite), max(finite)
    return {"n": float(len(values)), "min": _short(low), "median": _short(middle), "max": _short(high)}


def _odd(path: str, values: Sequence[float]) -> list[str]:
    infinite = sum(1 for value in values if not math.isfinite(value))
    said = [f"{path}: {infinite} not finite"] if infinite else []
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < OUTLIER_VALUES:
        return said
    middle = median(finite)
    spread = median(abs(value - middle) for value in finite)
    # Where more than half are equal any other value would stand out; then it must differ by as much as the middle is.
    beyond = OUTLIER_MADS * spread if spread else max(abs(middle), 1.0)
    out = sorted((value for value in finite if abs(value - middle) > beyond), key=lambda value: -abs(value - middle))
    return said + [f"{path}: {_short(value):g} against a median of {_short(middle):g}" for value in out[:2]]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
