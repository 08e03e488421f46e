from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.runbook.files import LESSONS, digest
from connectors.runbooks import texts
from connectors.store.skills import SkillVersions
from tests.service.app_world import app_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.connectors.store.database import Database
    from tests.service.app_world import App

pytestmark = pytest.mark.integration
NAME = "postgres-locks"
SEEDS = texts()
LEARNED = {**SEEDS[NAME], LESSONS: "lessons: [wait longer]\n"}
VIEWER, ADMIN = "vic@example.com", "max@example.com"
PATH = f"/api/v1/skills/{NAME}"


@pytest.fixture
def served(fresh_database: Database, tmp_path: Path) -> Iterator[App]:
    made = app_on(fresh_database, tmp_path)
    yield made
    made.close()


def learn(app: App) -> str:
    versions = SkillVersions(app.held.ports.store)
    version = versions.add_version(NAME, LEARNED, digest(SEEDS[NAME]), "learn", "patience")
    versions.promote(NAME, version.sha256)
    return version.sha256


def test_what_is_in_use_came_with_the_tree_and_then_is_what_was_learned(served: App) -> None:
    listed = served.ask("GET", "/api/v1/skills", person=VIEWER).json()
    assert {one["name"] for one in listed["skills"]} == set(SEEDS)
    assert listed["problems"] == {}
    learned = learn(served)
    one = served.ask("GET", PATH, person=VIEWER).json()
    assert one["champion"] == learned
    assert [(row["version"], row["source"]) for row in one["versions"]] == [(1, "seed"), (2, "learn")]
    assert [row["version"] for row in one["promotions"]] == [2, 1]
    for ref in ("2", learned[:8], learned):
        found = served.ask("GET", f"{PATH}/versions/{ref}", person=VIEWER).json()
        assert found["files"] == LEARNED


def test_an_admin_brings_an_earlier_version_back_and_the_audit_trail_knows(
    served: App, fresh_database: Database
) -> None:
    served.ask("GET", "/api/v1/skills", person=VIEWER)
    learn(served)
    body = {"to": "1", "reason": "asks too much"}
    for person in (VIEWER, "ada@example.com"):
        assert served.ask("POST", f"{PATH}/promotion", person=person, json=body).status_code == 403
    assert served.ask("POST", f"{PATH}/promotion", json=body).status_code == 401
    answer = served.ask("POST", f"{PATH}/promotion", person=ADMIN, json=body)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert served.ask("GET", PATH, person=VIEWER).json()["champion"] == digest(SEEDS[NAME])
    rows = fresh_database.run("SELECT actor, data ->> 'note' FROM stanch.audit WHERE action = 'SkillPromoted'")
    assert (ADMIN, "asks too much") in rows


def test_what_is_not_there_or_cannot_be_read_changes_nothing(served: App, fresh_database: Database) -> None:
    served.ask("GET", "/api/v1/skills", person=VIEWER)
    learned = learn(served)
    post = f"{PATH}/promotion"
    assert served.ask("GET", "/api/v1/skills/never-was", person=VIEWER).status_code == 404
    assert served.ask("GET", f"{PATH}/versions/9", person=VIEWER).status_code == 404
    assert served.ask("POST", post, person=ADMIN, json={"to": "9", "reason": "x"}).status_code == 404
    assert served.ask("POST", post, person=ADMIN, json={"to": "one", "reason": "x"}).status_code == 422
    assert served.ask("POST", post, person=ADMIN, json={"to": "1"}).status_code == 422
    fresh_database.run('UPDATE stanch.skill_version SET files = files || \'{"SKILL.md": ""}\' WHERE version = 1')
    answer = served.ask("POST", post, person=ADMIN, json={"to": "1", "reason": "x"})
    assert (answer.status_code, "nothing has changed" in answer.text) == (409, True)
    assert served.ask("GET", PATH, person=VIEWER).json()["champion"] == learned
