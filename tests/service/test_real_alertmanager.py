"""Against the real Alertmanager: what it sends is taken in, and silences are made, kept narrow and taken away."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import psycopg
import pytest
import uvicorn

from agent.incident import IncidentState
from connectors.alertmanager.client import Alertmanager, Matchers
from connectors.embedded.alertmanager import EmbeddedAlertmanager, Webhook
from connectors.embedded.process import ProcessGroup, free_port
from connectors.unreachable import Unreachable
from service.silences import LOOKS_AFTER_S, Silences
from tests.service.app_world import HOOK_TOKENS, app_on
from tests.service.sources_world import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.connectors.store.database import Database
    from tests.service.app_world import App

pytestmark = pytest.mark.integration
T = TypeVar("T")
WITHIN_S = 60.0
URL = "https://stanch.example.com"


def eventually(look: Callable[[], T | None]) -> T:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


@dataclass
class Together:
    """The hook on a real port, an Alertmanager that posts to it, and the worker's intake."""

    database: Database
    sources: Sources
    url: str
    api: Alertmanager

    def fire(self, *alerts: dict[str, Any]) -> None:
        httpx.post(f"{self.url}/api/v2/alerts", json=list(alerts)).raise_for_status()

    def take_in(self) -> None:
        for step in self.sources.agent.store.due(("agent",), grace_s=0.0):
            self.sources.agent.run(step)

    def alert(self, name: str) -> dict[str, Any] | None:
        """Its row, once the notification has come and was taken in."""
        self.take_in()
        rows = self.database.run(
            "SELECT status, incident_id, fingerprint, seen FROM stanch.alert WHERE labels ->> 'alertname' = %s", (name,)
        )
        return dict(zip(("status", "incident", "fingerprint", "seen"), rows[0], strict=True)) if rows else None

    def firing(self, name: str) -> dict[str, Any]:
        self.fire(labelled(name))
        return eventually(lambda: self.alert(name))

    def becomes(self, number: int, state: IncidentState) -> None:
        self.database.run("SET session_replication_role = replica")
        self.database.run("UPDATE stanch.incident SET state = %s, version = version + 1 WHERE id = %s", (state, number))
        self.database.run("SET session_replication_role = origin")

    def silences(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/silences").json()
        return [row for row in rows if row["status"]["state"] == "active"]


def labelled(name: str, *, over: bool = False, **labels: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": name, "service": f"service of {name}", "instance": "db-0:9187", **labels},
        "annotations": {"summary": "p99 is over 1 s"},
        "startsAt": (now - timedelta(seconds=30)).isoformat(),
    }
    return {**alert, "endsAt": now.isoformat()} if over else alert


@pytest.fixture(scope="module")
def together(
    database: Database, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Together]:
    place, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    app = app_on(database, place)
    server, thread = serving(app, port)
    with ProcessGroup(place / "run", lambda _: None) as group:
        real = EmbeddedAlertmanager(
            group, "alertmanager", place / "am", log_path=place / "am.log", progress=lambda _: None,
            cache_dir=cache_of(request.config.rootpath),
            webhook=Webhook(f"http://127.0.0.1:{port}/webhooks/alertmanager", HOOK_TOKENS[0]),
            route={"group_by": ["alertname"], "group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1h"},
        )  # fmt: skip
        real.start()
        api = Alertmanager(real.url)
        yield Together(database, Sources.of(database, correlation={"window_s": 0}), real.url, api)
        api.close()
    server.should_exit = True
    thread.join(timeout=10)
    app.held.doors.inbox.close()
    app.close()


def cache_of(root: Path) -> Path:
    return root / ".cache"


def serving(app: App, port: int) -> tuple[uvicorn.Server, threading.Thread]:
    """Without its loops: nothing here needs a broker."""
    config = uvicorn.Config(app.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started or None)
    return server, thread


def silencing(together: Together) -> Silences:
    return Silences(together.sources.api, together.api, ["alertmanager"], URL, lasts_s=60.0)


def test_what_it_sends_is_an_incident_and_its_end(together: Together) -> None:
    alert = together.firing("Comes")
    assert alert["status"] == "firing"
    together.fire(labelled("Comes", over=True))
    eventually(lambda: (together.alert("Comes") or {}).get("status") == "resolved" or None)
    assert together.sources.incident(alert["incident"]).state is IncidentState.SELF_RESOLVED


def test_a_silence_is_narrow_ends_and_is_taken_away(together: Together) -> None:
    alert = together.firing("Silenced")
    silences = silencing(together)
    silences.turn()
    assert together.silences() == []
    together.becomes(alert["incident"], IncidentState.EXECUTING)
    for _ in range(3):
        silences.turn()
    (made,) = together.silences()
    assert {one["name"]: one["value"] for one in made["matchers"]} == {
        "alertname": "Silenced", "service": "service of Silenced", "instance": "db-0:9187",
    }  # fmt: skip
    assert not any(one["isRegex"] for one in made["matchers"])
    assert f"{URL}/i/INC-{alert['incident']}" in made["comment"]
    lasts = datetime.fromisoformat(made["endsAt"]) - datetime.fromisoformat(made["startsAt"])
    assert lasts <= timedelta(seconds=60 + 900 + 5)
    together.becomes(alert["incident"], IncidentState.NEEDS_HUMAN)
    silences.turn()
    assert together.silences() == []
    silences.turn()


def test_one_that_was_made_and_not_written_down_is_taken_over(together: Together) -> None:
    alert = together.firing("Crashed")
    together.becomes(alert["incident"], IncidentState.VERIFYING)
    silencing(together).turn()
    together.database.run("DELETE FROM stanch.silence WHERE incident_id = %s", (alert["incident"],))
    silencing(together).turn()
    assert len(together.silences()) == 1
    together.becomes(alert["incident"], IncidentState.NEEDS_HUMAN)
    silencing(together).turn()
    assert together.silences() == []


def test_a_silence_that_ends_too_soon_is_made_longer(together: Together) -> None:
    alert = together.firing("Longer")
    together.becomes(alert["incident"], IncidentState.EXECUTING)
    silencing(together).turn()
    together.database.run(
        "UPDATE stanch.silence SET ends_at = clock_timestamp() + interval '1 min' WHERE incident_id = %s",
        (alert["incident"],),
    )
    silencing(together).turn()
    ((left,),) = together.database.run(
        "SELECT ends_at - clock_timestamp() FROM stanch.silence WHERE incident_id = %s AND settled_at IS NULL",
        (alert["incident"],),
    )
    assert left > timedelta(minutes=10)
    assert len(together.silences()) == 1
    together.becomes(alert["incident"], IncidentState.NEEDS_HUMAN)
    silencing(together).turn()


@pytest.mark.parametrize("over", [True, False])
def test_an_end_that_a_silence_hid_is_found(together: Together, over: bool) -> None:
    name = f"Hidden{over}"
    alert = together.firing(name)
    together.becomes(alert["incident"], IncidentState.EXECUTING)
    silences = silencing(together)
    silences.turn()
    if over:
        together.fire(labelled(name, over=True))
        eventually(lambda: not together.api.fingerprints(name) or None)
    together.becomes(alert["incident"], IncidentState.NEEDS_HUMAN)
    silences.turn()
    together.database.run(
        "UPDATE stanch.silence SET removed_at = removed_at - %s WHERE incident_id = %s",
        (timedelta(seconds=LOOKS_AFTER_S + 1), alert["incident"]),
    )
    silences.turn()
    together.take_in()
    assert (together.alert(name) or {})["status"] == ("resolved" if over else "firing")
    found = together.sources.incident(alert["incident"]).state
    assert found is (IncidentState.SELF_RESOLVED if over else IncidentState.NEEDS_HUMAN)


def test_a_silence_that_is_gone_already_is_as_good(together: Together) -> None:
    now = datetime.now(UTC)
    made = together.api.silence(Matchers({"alertname": "X", "service": "y"}), now, now + timedelta(hours=1), "test")
    together.api.expire(made)
    together.api.expire(made)
    together.api.expire("00000000-0000-0000-0000-000000000000")
    together.api.expire("../../alerts")
    assert together.api.silences_of("test") == {}


def test_it_says_its_version_and_a_wrong_address_is_told(together: Together) -> None:
    assert together.api.version()[0].isdigit()
    away = Alertmanager("http://127.0.0.1:1")
    with pytest.raises(Unreachable, match="ConnectError"):
        away.version()
    away.close()
    with pytest.raises(ValueError, match="ALERTMANAGER_URL"):
        Alertmanager("file:///etc/passwd")


def test_a_store_that_was_away_loses_nothing(together: Together) -> None:
    """503 is what Alertmanager tries again."""
    with together.database.away():
        together.fire(labelled("Delayed"))
        time.sleep(0.5)
    with psycopg.connect(together.database.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert eventually(lambda: together.alert("Delayed"))["status"] == "firing"


@pytest.mark.parametrize(
    ("labels", "narrow"),
    [
        ({"alertname": "A", "service": "s"}, {"alertname": "A", "service": "s"}),
        ({"alertname": "A", "pod": "p", "team": "t"}, {"alertname": "A", "pod": "p"}),
        ({"alertname": "A"}, None),
        ({"alertname": "A", "service": ""}, None),
        ({"service": "s"}, None),
        ({}, None),
    ],
)
def test_an_alert_without_labels_is_not_silenced(labels: dict[str, str], narrow: dict[str, str] | None) -> None:
    assert Matchers.of(labels) == (None if narrow is None else Matchers(narrow))
