from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.incident import IncidentState, Working
from agent.runbook.files import digest
from agent.runbook.match import GENERIC
from agent.runbook.pinned import skill_of
from connectors.runbooks import texts
from connectors.store.skills import Count, SkillVersions
from connectors.store.skills_in_use import REFRESH_S, REREAD_S, SkillsInUse
from connectors.unreachable import Unreachable
from tests.agent.examples import FRONT, files, incident
from tests.connectors.store.database import AGENT, API, EXECUTOR

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration
NAME = "slow-shop"
FIRST, SECOND = (files(front=f"{FRONT}\n{number}\n") for number in ("one", "two"))
TREE = {NAME: FIRST, GENERIC: texts()[GENERIC]}


class Clock:
    """Time that passes only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def in_use(database: Database, clock: Clock, role: str = AGENT) -> SkillsInUse:
    return SkillsInUse(SkillVersions(database.store(role)), TREE, seeds=role != EXECUTOR, clock=clock)


def test_whoever_starts_first_stores_the_tree_and_the_others_find_it(fresh_database: Database) -> None:
    assert sorted(in_use(fresh_database, Clock(), EXECUTOR)) == [GENERIC, NAME], "not stored yet, and still in use"
    assert sorted(in_use(fresh_database, Clock())) == [GENERIC, NAME]
    assert dict(in_use(fresh_database, Clock(), EXECUTOR).items()) == dict(in_use(fresh_database, Clock(), API).items())
    assert fresh_database.run("SELECT count(*) FROM stanch.skill_version") == [(2,)]


def test_a_promotion_moves_new_incidents_and_none_that_is_under_way(fresh_database: Database) -> None:
    clock, versions = Clock(), SkillVersions(fresh_database.store(API))
    skills = in_use(fresh_database, clock)
    before = skills[NAME]
    under_way = incident(IncidentState.INVESTIGATING, skill=NAME, working=Working(pins=before.pins))
    versions.promote(NAME, versions.add_version(NAME, SECOND, digest(FIRST), "learn", "").sha256)
    assert skills[NAME] == before
    clock.now += REFRESH_S
    assert skills[NAME].pins == {NAME: digest(SECOND)}
    assert skill_of(skills, under_way) == before
    assert skill_of(skills, replace(under_way, working=Working())) == skills[NAME]
    assert skill_of(skills, replace(under_way, skill=None)) is None


def test_a_champion_made_invalid_by_hand_is_in_use_nowhere_and_says_so(fresh_database: Database) -> None:
    clock = Clock()
    skills = in_use(fresh_database, clock)
    under_way = incident(IncidentState.INVESTIGATING, skill=NAME, working=Working(pins=skills[NAME].pins))
    fresh_database.run('UPDATE stanch.skill_version SET files = files || \'{"references/diagnosis.yaml": "["}\'')
    clock.now += REREAD_S
    assert NAME not in skills
    assert "not the one that was stored" in skills.problems[NAME]
    assert skill_of(skills, under_way) is None
    assert not skills[GENERIC].remediations, "the one that proposes nothing comes from the tree instead"


def test_a_store_that_goes_away_leaves_what_was_known(fresh_database: Database) -> None:
    clock = Clock()
    skills, late = in_use(fresh_database, clock), in_use(fresh_database, clock)
    known = dict(skills.items())
    with fresh_database.away():
        clock.now += REFRESH_S
        assert dict(skills.items()) == known
        with pytest.raises(Unreachable):
            late.get(NAME)


def test_what_verified_incidents_counted_moves_probabilities_and_neither_text_nor_pin(fresh_database: Database) -> None:
    clock, versions = Clock(), SkillVersions(fresh_database.store(AGENT))
    skills = in_use(fresh_database, clock)
    before = skills[NAME]
    check = next(one for one in before.checks.values() if not one.gathers)
    cause = next(one for one in before.causes if before.remedy(one) is not None)
    numbers = fresh_database.run(
        "INSERT INTO stanch.incident (correlation_key, title) SELECT 'k' || n, 't' FROM generate_series(1, 60) n "
        "RETURNING id"
    )
    versions.add_counts(
        Count(NAME, cause, check.id, "no", number, f"service-{number % 6}", None) for (number,) in numbers
    )
    assert skills[NAME] == before
    clock.now += REREAD_S
    after = skills[NAME]
    assert after.checks[check.id].yes_given[cause] < before.checks[check.id].yes_given[cause]
    assert after.pins == before.pins
    assert (
        skill_of(skills, incident(IncidentState.INVESTIGATING, skill=NAME, working=Working(pins=before.pins))) == after
    )
