"""Every incident is brought about on a real server, called by its name, and cured by what is proposed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.doctor import Report, examine
from connectors.target.diagnose import Diagnosis
from lab.provoke import SCENARIOS
from lab.provoke.server import PATIENCE_S

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from lab.provoke.scenario import Scenario
    from lab.provoke.server import TroubledServer

pytestmark = pytest.mark.integration


def diagnosed(server: TroubledServer, scenario: Scenario) -> Report:
    with Diagnosis(server.dsn("diagnose"), "shop") as target:
        return examine(target, scenario.window_s, scenario.limits)


def cure(server: TroubledServer, action: ProposedAction) -> None:
    """As the role the action is for would."""
    with psycopg.connect(server.dsn(action.role), autocommit=True) as connection:
        for statement in action.action().render("a-test").steps:
            connection.execute(statement)


def is_over(server: TroubledServer, scenario: Scenario) -> None:
    """Signals are delivered a moment after the server has said yes."""
    end = time.monotonic() + PATIENCE_S
    while any(finding.incident_class == scenario.incident_class for finding in diagnosed(server, scenario).findings):
        assert time.monotonic() < end, diagnosed(server, scenario)
        time.sleep(0.1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.incident_class)
def test_an_incident_is_called_by_its_name_and_by_no_look_alikes(troubled: TroubledServer, scenario: Scenario) -> None:
    with scenario.provoke(troubled):
        report = diagnosed(troubled, scenario)
        names = [finding.incident_class for finding in report.findings]
        assert names[:1] == [scenario.incident_class], report
        assert not set(names) & set(scenario.look_alikes)
        action = report.findings[0].action
        if action is not None:
            cure(troubled, action)
            is_over(troubled, scenario)
    is_over(troubled, scenario)
