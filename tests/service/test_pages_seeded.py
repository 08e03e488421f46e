"""Figures, search, exports and the chain on a store as after years of work, checked against its own rows."""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.machine import Step
from agent.postmortem import durations_s
from connectors.store.store import incident_from_row
from lab.bench.seed import NotEmpty, seed
from service import chain
from service.pages import figures
from service.routes import overview
from service.steps.remember import remember
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT, API
from tests.service.app_world import App, app_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration

PERSON = "ada@example.com"
INCIDENTS = 150


@pytest.fixture(scope="module")
def seeded(database: Database) -> Database:
    written = seed(database.dsn(), incidents=INCIDENTS, points=600)
    assert written["incident"] == INCIDENTS
    return database


@pytest.fixture(scope="module")
def app(seeded: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = app_on(seeded, tmp_path_factory.mktemp("app"))
    yield made
    made.close()


def _incidents(app: App) -> list[Any]:
    with app.held.ports.store.transaction() as tx:
        rows = tx.all("incidents", states=None, before=None, limit=1000)
    return [incident_from_row(row) for row in rows]


def _read(app: App, **asked: Any) -> figures.Figures:
    with app.held.ports.store.transaction() as tx:
        return figures.read(tx, figures.Asked(**asked), tx.now())


def test_a_store_that_holds_incidents_is_not_seeded(seeded: Database) -> None:
    with pytest.raises(NotEmpty):
        seed(seeded.dsn(), incidents=10, points=100)


def test_the_figures_are_those_of_the_rows(app: App) -> None:
    found = _read(app, days=365)
    seconds = [durations_s(one.milestones) for one in _incidents(app)]
    restored = [one["restore"] for one in seconds if one["restore"] is not None]
    assert found.restore.n == len(restored)
    assert found.restore.median == pytest.approx(statistics.median(restored), rel=1e-3)
    assert found.restore.mean == pytest.approx(statistics.fmean(restored), rel=1e-3)
    for stage in found.stages:
        known = [value for one in seconds if (value := one[stage.name]) is not None]
        assert (stage.name, stage.n) == (stage.name, len(known))
        assert stage.median == pytest.approx(statistics.median(known), rel=1e-3)
    open_ = sum(one.state not in {"resolved", "self_resolved", "closed"} for one in _incidents(app))
    assert sum(point.open for point in found.points) == open_
    assert found.restore.n + open_ + sum(found.without.values()) == INCIDENTS == found.incidents


def test_a_filter_counts_only_its_own_and_the_period_before_has_the_rest(app: App) -> None:
    mine = [one for one in _incidents(app) if one.service == "search"]
    assert _read(app, days=365, service="search").incidents == len(mine)
    assert _read(app, days=365, service="nobody").incidents == 0
    with app.held.ports.store.transaction() as tx:
        now = tx.now()
    recent = sum(now - one.opened_at < timedelta(days=30) for one in _incidents(app))
    earlier = sum(timedelta(days=30) <= now - one.opened_at < timedelta(days=60) for one in _incidents(app))
    found = _read(app, days=30)
    assert (found.incidents, found.prior_incidents) == (recent, earlier)


def test_each_proposed_fix_is_counted_once(app: App, seeded: Database) -> None:
    ((proposals,),) = seeded.run("SELECT count(*) FROM stanch.proposal")
    found = _read(app, days=365)
    assert sum(found.outcomes.values()) == proposals
    assert found.outcomes["verified"] == sum(one.outcome == "recovered" for one in _incidents(app))


def test_prometheus_gets_the_same_numbers(app: App) -> None:
    text = app.ask("GET", "/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    count = next(one.value for one in families["stanch_time_to_restore_seconds"].samples if one.name.endswith("_count"))
    assert count == _read(app, days=365).restore.n
    waits = [one for one in families["stanch_stage_seconds"].samples if one.labels.get("stage") == "wait"]
    bounds = [one.value for one in waits if one.name.endswith("_bucket")]
    assert bounds == sorted(bounds)
    assert bounds[-1] == next(stage.n for stage in _read(app, days=365).stages if stage.name == "wait")


def test_the_exports_hold_every_incident_and_no_formula(app: App) -> None:
    data = app.ask("GET", "/api/v1/ttr?days=365", person=PERSON).json()
    assert len(data["incidents"]) == INCIDENTS
    assert data["restore"]["mean"] is not None
    rows = list(csv.DictReader(io.StringIO(app.ask("GET", "/api/v1/ttr.csv", person=PERSON).text)))
    assert [row["id"] for row in rows] == [row["id"] for row in data["incidents"]]
    assert [overview.cell(text) for text in ("=1+1", "+1", "-1", "@x", "plain", -1.5)] == [
        "'=1+1", "'+1", "'-1", "'@x", "plain", -1.5,
    ]  # fmt: skip
    assert app.ask("GET", "/api/v1/ttr.csv").status_code == 401


def test_the_chain_of_a_seeded_store_is_intact(app: App, tmp_path: Path) -> None:
    found = chain.state(app.held.ports.store, tmp_path / "none")
    assert found.intact
    assert found.rows > INCIDENTS


def test_incidents_like_this_one_come_with_the_checks_that_found_their_cause(app: App, seeded: Database) -> None:
    closed = [one for one in _incidents(app) if one.state == "closed" and one.working.conclusion]
    store = seeded.store(AGENT)
    ports = replace(app.held.ports, store=store)
    worker = Runner(store, ports.skills, {"remember": remember(ports)}, "worker")
    for one in closed:
        with store.transaction() as tx:
            step = tx.add_step(one.id, Step("remember", "agent"))
        assert worker.run(step)
    with store.transaction() as tx:
        cases, lessons = tx.all("cases", limit=INCIDENTS), tx.all("lessons")
    assert {row["body"]["incident"] for row in cases} == {one.id for one in closed}
    assert {row["body"]["kind"] for row in lessons} >= {"positive"}
    recovered = next(one for one in closed if one.outcome == "recovered")
    found = app.ask("GET", f"/api/v1/incidents/INC-{recovered.id}", person=PERSON).json()["similar"]
    assert found["incidents"]
    assert found["incidents"][0]["incident"] != recovered.id
    assert found["hypotheses"][0]["cause"] == recovered.working.conclusion.cause
    assert found["hypotheses"][0]["found_by"]


def test_search_takes_text_as_text(app: App) -> None:
    with app.held.ports.store.transaction() as tx:

        def titles(text: str) -> list[str]:
            rows = tx.all("search_incidents", text=overview.pattern(text), states=None, before=None, service=None,
                          severity=None, cause=None, limit=1000)  # fmt: skip
            return [row["title"] for row in rows]

        assert titles("%") == []
        assert titles("_") == []
        assert all("search" in title.lower() for title in titles("sEaRcH"))
        assert titles("search")


def test_a_postmortem_that_two_people_edit_loses_neither_text(app: App, seeded: Database) -> None:
    with app.held.ports.store.transaction() as tx:
        first = tx.one("add_postmortem_edit", incident=1, revision=0, person="Ada", body="one")
        second = tx.one("add_postmortem_edit", incident=1, revision=0, person="Bob", body="two")
        third = tx.one("add_postmortem_edit", incident=1, revision=1, person="Bob", body="one and two")
        rows = tx.all("postmortem_edits", incident=1)
    assert (first, second, third) == ({"revision": 1}, None, {"revision": 2})
    assert [row["body"] for row in rows] == ["one and two", "one"]
    with pytest.raises(Exception, match="permission denied"):
        seeded.run("UPDATE stanch.postmortem_edit SET body = 'x'", role=API)
