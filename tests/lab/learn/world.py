"""A small world to learn in: two causes, three checks, and a skill that is wrong about one of them on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.learning.tree import Reader, tree_of
from agent.replay.case import Case, Said, Truth
from lab.evaluator.answers import answer
from lab.evaluator.scores import Scores
from lab.learn.proposer import proposals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.learn.loop import Ask

FRONT = """---
name: {name}
description: For tests.
license: Apache-2.0
metadata:
  stanch.schema: "runbook/v1"
  stanch.version: "1"
---
# {name}
"""

DIAGNOSIS = """match:
  at_least: 1.0
  any:
    - {{label: alertname, matches: 'ShopSlow', weight: 1.0}}
causes:
  connection_leak: {{title: A leak, prior: 0.3, component: service}}
  bad_deploy: {{title: A bad deploy, prior: 0.3, component: service}}
  none_of_these: {{title: None of these, prior: 0.4, component: service}}
first: [recent_change]
checks:
  - {{id: recent_change, tool: changes, cost_s: 0.1, supports: {{bad_deploy: {deploy}, connection_leak: weak}}}}
  - {{id: pool_waiting, tool: metrics, cost_s: 0.2, supports: {{connection_leak: {pool}}}}}
  - {{id: error_rate_rose, tool: metrics, cost_s: 0.2, supports: {{bad_deploy: strong}}}}
stop: {{posterior: 0.75, margin: 0.3, min_checks: 2, max_checks: 3, min_disconfirming: 0}}
"""

GENERIC = """causes:
  recent_change: {title: A change, prior: 0.4, component: service}
  none_of_these: {title: None of these, prior: 0.6, component: service}
first: [recent_change]
checks:
  - {id: recent_change, tool: changes, cost_s: 0.1, supports: {recent_change: strong}}
stop: {posterior: 0.9, margin: 0.5, min_checks: 1, max_checks: 1, min_disconfirming: 0}
"""

CATALOGUE = ("changes:recent_change", "metrics:error_rate_rose", "metrics:pool_waiting")

SAYS_YES: Mapping[str, Mapping[str, float]] = {
    "connection_leak": {"changes:recent_change": 0.3, "metrics:pool_waiting": 0.95, "metrics:error_rate_rose": 0.1},
    "bad_deploy": {"changes:recent_change": 0.95, "metrics:pool_waiting": 0.1, "metrics:error_rate_rose": 0.9},
}


def tree(*, pool: str = "against", deploy: str = "strong") -> dict[str, str]:
    """pool: how the skill reads an exhausted pool; `strong` is right."""
    empty = {"references/remediation.yaml": "remediations: []\n", "references/lessons.yaml": "lessons: []\n"}
    return tree_of(
        {
            "shop-slow": {
                "SKILL.md": FRONT.format(name="shop-slow"),
                "references/diagnosis.yaml": DIAGNOSIS.format(pool=pool, deploy=deploy),
                **empty,
            },
            "generic-triage": {
                "SKILL.md": FRONT.format(name="generic-triage"),
                "references/diagnosis.yaml": GENERIC,
                **empty,
            },
        }
    )


@dataclass(frozen=True, slots=True)
class World:
    """Incidents by seed. split: part of every id, so that splits share none. rare: stratum of the bad deploys. leaks:
    share of the other cause.
    """

    split: str
    says_yes: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: SAYS_YES)
    rare: str = ""
    leaks: float = 0.5

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(f"{self.split}/{mechanism}" for mechanism in sorted(self.says_yes))

    def case(self, seed: int) -> Case:
        rng = random.Random(f"{self.split}|{seed}")  # noqa: S311 a made-up incident
        mechanism = "connection_leak" if rng.random() < self.leaks else "bad_deploy"
        answers = {
            asked: (Said("yes" if rng.random() < chance else "no", asked, {}, 0.2),)
            for asked, chance in self.says_yes[mechanism].items()
        }
        service = rng.choice(("orders", "catalog", "storefront"))
        return Case(
            id=f"{self.split}#{seed}",
            family=f"{self.split}/{mechanism}",
            labels={"alertname": "ShopSlow", "service": service},
            service=service,
            target=None,
            answers=answers,
            truth=Truth("made", service, mechanism, None),
            strata=frozenset({self.rare if mechanism == "bad_deploy" else "usual"}) if self.rare else frozenset(),
        )

    def told(self, case: Case, seed: int) -> tuple[str, str]:
        del seed
        return case.truth.component, case.truth.mechanism


def scores(**kinds: Any) -> Scores:
    return Scores({"train": World("train"), "validation": World("validation"), "test": World("test")}, **kinds)


def asked(judge: Scores, hashes: Callable[[], dict[str, str]] = lambda: {"gate": "1", "recordings": "1"}) -> Ask:
    return lambda request: answer(judge, hashes, dict(request))


def suggesting() -> Ask:
    reader = Reader()
    return lambda request: proposals(dict(request), reader)
