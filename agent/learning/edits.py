"""What a learning round may change: a closed set of typed edits, one a round, each with a prediction to be held to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from guardrails.canonical import Json, digest

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tier(StrEnum):
    """T0 moves evidence, T1 structure, T2 what a human must read before it counts."""

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"


TIERS: Mapping[str, Tier] = {
    "set_counts": Tier.T0,
    "reorder_first": Tier.T1,
    "set_stop": Tier.T1,
    "set_threshold": Tier.T1,
    "set_prior": Tier.T1,
    "add_check": Tier.T1,
    "drop_check": Tier.T1,
    "set_support_strength": Tier.T1,
    "add_cause_link": Tier.T1,
    "add_cause": Tier.T1,
    "drop_cause": Tier.T1,
    "set_component": Tier.T1,
    "narrow_match": Tier.T1,
    "set_brain_param": Tier.T1,
    "set_remediation_rank": Tier.T1,
    "expire_lesson": Tier.T1,
    "add_negative_lesson": Tier.T2,
    "widen_match": Tier.T2,
    "add_remediation": Tier.T2,
    "edit_prose": Tier.T2,
    "archive_skill": Tier.T2,
}
"""Everything a loop may do. A negative lesson bars a remediation, and archiving widens what falls to other skills, so
both wait for a human."""

Metric = Literal["utility", "mitigate_s", "accuracy", "wrong_fix"]
METRICS: tuple[Metric, ...] = ("utility", "mitigate_s", "accuracy", "wrong_fix")


class UnusableEdit(ValueError):
    """An edit that says nothing that could be done."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the proposer expects: the metric's change over the named strata (empty: over all), its sign and size."""

    metric: Metric
    strata: tuple[str, ...]
    sign: Literal[-1, 1]
    magnitude: float


@dataclass(frozen=True, slots=True)
class Edit:
    """skill: name of the skill it changes, "*" for all of them. before: tree.hash_of the files it changes.

    evidence: ids of the train incidents it is based on. proposer and seed: who made it, so that it can be made again.
    """

    op: str
    skill: str
    before: str
    args: Mapping[str, Json]
    hypothesis: str
    predicted: Prediction
    evidence: tuple[str, ...]
    proposer: str
    seed: int

    @property
    def tier(self) -> Tier:
        return TIERS[self.op]

    @property
    def id(self) -> str:
        """Content address of the whole edit; what a reviewer's decision is bound to."""
        return digest(self.to_data())

    @property
    def fingerprint(self) -> str:
        """The same for the same change to the same skill, whoever proposes it and why: what a tabu remembers."""
        return digest({"op": self.op, "skill": self.skill, "args": dict(self.args)})

    def to_data(self) -> dict[str, Any]:
        return {
            "op": self.op,
            "skill": self.skill,
            "before": self.before,
            "args": dict(self.args),
            "hypothesis": self.hypothesis,
            "predicted": {
                "metric": self.predicted.metric,
                "strata": list(self.predicted.strata),
                "sign": self.predicted.sign,
                "magnitude": self.predicted.magnitude,
            },
            "evidence": list(self.evidence),
            "proposer": self.proposer,
            "seed": self.seed,
        }

    @classmethod
    def from_data(cls, data: Any) -> Edit:
        """From another process or a file. Raises UnusableEdit for whatever is not exactly an edit."""
        if not isinstance(data, dict) or set(data) != _KEYS:
            raise UnusableEdit(f"an edit has exactly the keys {', '.join(sorted(_KEYS))}")
        if data["op"] not in TIERS:
            raise UnusableEdit(f"{data['op']!r:.40} is none of the closed set of edits")
        if not isinstance(data["args"], dict):
            raise UnusableEdit("args is no object")
        if not isinstance(data["seed"], int) or isinstance(data["seed"], bool):
            raise UnusableEdit("seed is no whole number")
        return cls(
            op=data["op"],
            skill=_text(data, "skill"),
            before=_text(data, "before"),
            args=data["args"],
            hypothesis=_text(data, "hypothesis"),
            predicted=_prediction(data["predicted"]),
            evidence=_texts(data["evidence"]),
            proposer=_text(data, "proposer"),
            seed=data["seed"],
        )


_KEYS = frozenset({"op", "skill", "before", "args", "hypothesis", "predicted", "evidence", "proposer", "seed"})


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str) or not value or len(value) > 2000:  # noqa: PLR2004 no hypothesis needs more
        raise UnusableEdit(f"{key} is no text of 1 to 2000 characters")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnusableEdit("a list of texts was expected")
    return tuple(value)


def _prediction(value: Any) -> Prediction:
    if not isinstance(value, dict) or set(value) != {"metric", "strata", "sign", "magnitude"}:
        raise UnusableEdit("predicted has exactly metric, strata, sign and magnitude")
    metric = next((known for known in METRICS if known == value["metric"]), None)
    magnitude = value["magnitude"]
    if metric is None or value["sign"] not in {-1, 1}:
        raise UnusableEdit("predicted names no known metric or no sign")
    if not isinstance(magnitude, int | float) or not (math.isfinite(magnitude) and magnitude >= 0):
        raise UnusableEdit("predicted: magnitude is a number from 0 on")
    return Prediction(metric, _texts(value["strata"]), 1 if value["sign"] == 1 else -1, float(magnitude))
