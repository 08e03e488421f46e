"""Every incident is brought about on a real server, called by its name, and cured by what is proposed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.classes import CLASSES
from agent.database.doctor import Report, examine
from connectors.target.diagnose import Diagnosis
from lab.provoke import SCENARIOS
from lab.provoke.server import PATIENCE_S

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from lab.provoke.scenario import Scenario
    from lab.provoke.server import TroubledServer

pytestmark = pytest.mark.integration


def diagnosed(dsn: str, scenario: Scenario) -> Report:
    with Diagnosis(dsn, "shop") as target:
        return examine(target, scenario.window_s, scenario.limits)


def cure(dsn: str, action: ProposedAction) -> None:
    """As the role the action is for would."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in action.action().render("a-test").steps:
            connection.execute(statement)


def took_effect(dsn: str, action: ProposedAction) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(action.action().render("a-test").proof).fetchone()
    return bool(found and found[0])


def is_over(dsn: str, scenario: Scenario) -> None:
    """Signals are delivered a moment after the server has said yes, and statistics come a second late."""
    own = (CLASSES[scenario.incident_class],)
    end = time.monotonic() + PATIENCE_S
    with Diagnosis(dsn, "shop") as target:
        while seen := examine(target, scenario.window_s, scenario.limits, own).findings:
            assert time.monotonic() < end, seen
            time.sleep(0.1)


def named(scenario: Scenario) -> str:
    return f"{scenario.incident_class}: {scenario.what}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_an_incident_is_called_by_its_name_and_by_no_look_alikes(troubled: TroubledServer, scenario: Scenario) -> None:
    with scenario.on(troubled) as elsewhere:
        look = troubled.dsn("diagnose", elsewhere)
        report = diagnosed(look, scenario)
        names = [finding.incident_class for finding in report.findings]
        assert names[:1] == [scenario.incident_class], report
        assert not set(names) & set(scenario.look_alikes), report
        first = report.findings[0]
        for action in (*filter(None, [first.action]), *first.further_actions):
            cure(troubled.dsn(action.role, elsewhere), action)
            if scenario.lasts:
                assert took_effect(troubled.dsn("admin", elsewhere), action)
                undo(troubled.dsn(action.role, elsewhere), action)
        if first.action is not None and not scenario.lasts:
            is_over(look, scenario)
            undo(troubled.dsn(first.action.role, elsewhere), first.action)
    if scenario.limits.disk_free_share < 1:
        is_over(troubled.dsn("diagnose"), scenario)


def undo(dsn: str, action: ProposedAction) -> None:
    """Nothing, for what cannot be undone."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in action.action().render("a-test").rollback_steps:
            connection.execute(statement)
