from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.incident import IncidentState
from service.view import component
from tests.agent.examples import CONCLUSION, incident

RANKING: dict[str, Any] = {"services": [{"service": "payments", "probability": 0.7}, {"service": "orders"}]}


@pytest.mark.parametrize(
    ("said", "ranking", "lies_in"),
    [
        ("target", RANKING, "shop"),
        ("service", RANKING, "orders"),
        ("ranked", RANKING, "payments"),
        ("ranked", {"services": [{"service": "shop"}, {"service": "billing"}]}, "billing"),
        ("ranked", {"services": [{"service": "shop"}]}, None),
        ("ranked", {"services": []}, None),
        ("ranked", None, None),
        (None, None, "orders"),
    ],
)
def test_where_a_cause_lies_is_told_as_the_skill_says(
    said: str | None, ranking: dict[str, Any] | None, lies_in: str | None
) -> None:
    concluded = incident(IncidentState.NEEDS_HUMAN)
    working = replace(concluded.working, conclusion=replace(CONCLUSION, component=said))
    assert component(replace(concluded, working=working), ranking) == lies_in


def test_without_a_conclusion_it_lies_nowhere_yet() -> None:
    assert component(incident(), RANKING) is None
