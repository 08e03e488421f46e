"""One small skill and incidents in every state, for the tests of the agent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from agent.brain.beliefs import posterior
from agent.incident import Answered, Conclusion, Incident, IncidentState, Milestone, Mode, Outcome, Working
from agent.runbook.skill import Skill, read

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

FRONT = """\
---
name: slow-shop
description: A shop that is slow.
metadata:
  stanch.version: "3"
---
# The shop is slow
"""

DIAGNOSIS: Mapping[str, Any] = {
    "match": {"any": [{"label": "alertname", "matches": "Slow.*"}]},
    "causes": {
        "missing_index": {"title": "Missing index", "prior": 0.4, "component": "target"},
        "traffic_surge": {"title": "Traffic surge", "prior": 0.3},
        "none_of_these": {"title": "None of these", "prior": 0.3},
    },
    "first": ["sample", "ranking"],
    "checks": [
        {"id": "sample", "tool": "database", "cost_s": 3.0, "gathers": True},
        {
            "id": "ranking",
            "tool": "causal",
            "cost_s": 0.5,
            "supports": {"missing_index": "weak", "traffic_surge": "against"},
        },
        {
            "id": "scans",
            "tool": "database",
            "cost_s": 0.1,
            "needs": ["sample"],
            "supports": {"missing_index": "strong", "traffic_surge": "against"},
        },
        {"id": "surge", "tool": "metrics", "cost_s": 0.2, "supports": {"traffic_surge": "strong"}},
        {
            "id": "index_would_help",
            "tool": "database",
            "cost_s": 0.3,
            "needs": ["scans"],
            "supports": {"missing_index": "strong", "traffic_surge": "against", "none_of_these": "against"},
        },
    ],
    "stop": {"posterior": 0.8, "margin": 0.25, "min_checks": 2, "max_checks": 5, "min_disconfirming": 1},
}

REMEDIATION: Mapping[str, Any] = {
    "remediations": [
        {
            "id": "build-the-index",
            "cause": "missing_index",
            "action": "create_index_concurrently",
            "params_from": "index_would_help",
            "rollback": "on_regression",
        }
    ]
}


def files(
    front: str = FRONT, diagnosis: Mapping[str, Any] = DIAGNOSIS, remediation: Mapping[str, Any] = REMEDIATION
) -> dict[str, str]:
    return {
        "SKILL.md": front,
        "references/diagnosis.yaml": yaml.safe_dump(dict(diagnosis)),
        "references/remediation.yaml": yaml.safe_dump(dict(remediation)),
    }


def skill(diagnosis: Mapping[str, Any] = DIAGNOSIS, remediation: Mapping[str, Any] = REMEDIATION) -> Skill:
    return read("slow-shop", files(diagnosis=diagnosis, remediation=remediation))


SKILL = skill()
YES, NO, HIDDEN = (Answered(status, f"it is {status}", 1) for status in ("yes", "no", "not_visible"))
NOTED = Answered("note", "collected", 2)
CONVINCING = {"sample": NOTED, "ranking": YES, "scans": YES, "surge": NO, "index_would_help": YES}
CONCLUSION = Conclusion("missing_index", "Missing index", 0.93, 0.8, 0.95, "target")


def incident(state: IncidentState = IncidentState.RECEIVED, **changes: Any) -> Incident:
    """An incident as it is on the way through this state, with a target in act mode."""
    received = Incident(
        id=7,
        state=IncidentState.RECEIVED,
        outcome=None,
        version=1,
        title="SlowShop: orders",
        service="orders",
        severity="critical",
        target=None,
        mode=None,
        skill=None,
        labels={"alertname": "SlowShop", "service": "orders"},
        annotations={},
        working=Working(),
        milestones={Milestone.IMPACT_START: NOW, Milestone.DETECTED: NOW},
        opened_at=NOW,
    )
    if state is IncidentState.RECEIVED:
        return replace(received, **changes)
    chosen = SKILL
    known: dict[str, Any] = {"skill": chosen.name, "target": "shop", "mode": Mode.ACT}
    if state is IncidentState.INVESTIGATING:
        working = Working(beliefs=chosen.priors(), pending=("sample", "ranking"))
    else:
        beliefs = posterior(chosen, CONVINCING)
        working = Working(beliefs=beliefs, answered=CONVINCING, conclusion=CONCLUSION, revision=1)
    outcome = {
        IncidentState.NEEDS_HUMAN: Outcome.INCONCLUSIVE,
        IncidentState.RESOLVED: Outcome.RECOVERED,
        IncidentState.SELF_RESOLVED: Outcome.SELF_RESOLVED,
        IncidentState.CLOSED: Outcome.RECOVERED,
    }.get(state)
    return replace(received, **{**known, "state": state, "outcome": outcome, "working": working, **changes})


def concluded(**changes: Any) -> Incident:
    """Investigated to the end, the proposal under way."""
    return replace(incident(IncidentState.VERIFYING), state=IncidentState.INVESTIGATING, **changes)
