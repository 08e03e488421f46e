from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from agent.ports import Rule
from connectors.memory import MemoryMetrics
from connectors.pagerduty.client import PagerDuty
from connectors.pagerduty.memory import Account
from connectors.unreachable import Unreachable
from service import integrations, round_trip
from service.configuration import Configuration
from service.integrations import NotWorking
from service.settings import Settings, UnusableSettings
from service.steps.investigate import expression_of
from tests.connectors.store.database import API
from tests.service.app_world import App, app_on, settings_of
from tests.service.incident_world import ports_of
from tests.service.sources_world import Sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.connectors.store.database import Database

URL = "https://stanch.example.com/webhooks/pagerduty"


def settings(**given: Any) -> Settings:
    return Settings.model_construct(public_url="https://stanch.example.com", **given)


def said(subscriptions: list[dict[str, Any]]) -> str:
    account = Account(subscriptions=subscriptions)
    rest = PagerDuty(
        "https://api.pagerduty.com", SecretStr(account.token), account.sender, transport=account.transport()
    )
    return integrations._subscription(rest, URL)


def subscription(*, active: bool = True, suspended: bool = False) -> dict[str, Any]:
    return {"id": "PSUB", "active": active, "delivery_method": {"url": URL, "temporarily_disabled": suspended}}


def test_a_subscription_that_works_is_said_to() -> None:
    assert said([subscription()]) == f"PSUB posts to {URL}"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no webhook subscription posts to"),
        ([subscription(active=False)], "switched off"),
        ([subscription(suspended=True)], "suspended .* enable it again"),
    ],
)
def test_a_subscription_that_does_not_is_told_with_what_to_do(rows: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(NotWorking, match=says):
        said(rows)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"alertmanager_url": "gopher://x"}, "STANCH_ALERTMANAGER_URL"),
        ({"pagerduty_api_token": SecretStr("hunter2"), "pagerduty_from": None}, "STANCH_PAGERDUTY_FROM"),
        ({"pagerduty_api_token": SecretStr("hunter2"), "pagerduty_from": "a@b", "pagerduty_api_url": "http://evil"},
         "STANCH_PAGERDUTY_API_URL must start with https"),
        ({"pagerduty_routing_key": SecretStr("hunter2"), "pagerduty_events_url": "http://evil"},
         "STANCH_PAGERDUTY_EVENTS_URL"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_stops_the_start(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableSettings, match=says) as refused:
        integrations.check(settings(**given))
    assert "hunter2" not in str(refused.value)


def test_what_is_not_configured_is_not_asked() -> None:
    assert integrations.probes(settings()) == {}


@pytest.mark.integration
def test_the_watchdog_writes_down_what_changed(database: Database) -> None:
    store = database.store(API)
    answers: list[Callable[[], str]] = []

    def probe() -> str:
        return answers.pop(0)()

    def away() -> str:
        raise Unreachable("pagerduty", "ConnectError")

    def wrong() -> str:
        raise NotWorking("the webhook subscription PSUB is switched off")

    loop = integrations.watchdog({"pagerduty subscription": probe}, store, threading.Event())
    seen = []
    for answer in (lambda: "fine", away, wrong, lambda: "fine"):
        answers.append(answer)
        loop.body()
        seen += database.run("SELECT ok, says FROM stanch.integration")
    assert [ok for ok, _ in seen] == [True, False, False, True]
    assert "PSUB is switched off" in seen[2][1]
    told = database.run("SELECT data ->> 'ok' FROM stanch.audit WHERE actor = 'watchdog' ORDER BY id")
    assert told == [("false",), ("true",)]


# --- The test that goes the whole way ----------------------------------------------------------------------------


class _Sync(httpx.BaseTransport):
    """The application over ASGI for a client that waits; a worker takes in what came, when there is one."""

    def __init__(self, app: App, sources: Sources | None) -> None:
        self._app = app
        self._sources = sources

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._app.ask(request.method, request.url.path, headers=dict(request.headers), content=request.read())
        if self._sources is not None:
            for step in self._sources.agent.store.due(("agent",), grace_s=0.0):
                self._sources.agent.run(step)
        return httpx.Response(answer.status_code, content=answer.content)


MAPPED = {
    "nagios": {"kind": "generic", "mapping": {
        "alertname": "check.name", "alerts": "data.0.events", "status": "state", "resolved": ["OK"], "id": "event_id"}},
    "flat": {"kind": "generic", "mapping": {"alertname": "name", "status": "status"}},
}  # fmt: skip
GENERIC = {"generic_tokens": SecretStr("nagios:n,flat:f,nagios:old")}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["alertmanager", "pagerduty", "grafana", "generic", "changes"])
def test_a_test_goes_the_whole_way_and_opens_nothing(database: Database, tmp_path: Path, name: Any) -> None:
    secrets = {"pagerduty_secrets": SecretStr("whsec"), "grafana_tokens": SecretStr("g"), **GENERIC}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": MAPPED}), encoding="utf-8")
    app = app_on(database, tmp_path, **secrets, config=tmp_path / "sources.yaml")
    given, _ = settings_of(tmp_path, database.dsn(API), **secrets, config=tmp_path / "sources.yaml")
    sources = Sources.of(database, sources=MAPPED)
    try:
        before = sources.incidents()
        assert "taken in" in round_trip.send(given, name, _Sync(app, sources))
        assert sources.incidents() == before
        assert database.run("SELECT count(*) FROM stanch.inbox WHERE state = 'quarantined'") == [(0,)]
        wrong = {f"{one}_{what}": SecretStr("x") for one, what in (
            ("alertmanager", "tokens"), ("pagerduty", "secrets"), ("grafana", "tokens"))}  # fmt: skip
        wrong["generic_tokens"] = SecretStr("nagios:x,flat:y")
        other, _ = settings_of(tmp_path, database.dsn(API), **wrong, config=tmp_path / "sources.yaml")
        with pytest.raises(NotWorking, match="HTTP 401"):
            round_trip.send(other, name, _Sync(app, sources))
    finally:
        app.held.doors.inbox.close()
        app.close()


@pytest.mark.integration
def test_a_test_of_a_hook_that_is_off_or_away_says_what_to_do(database: Database, tmp_path: Path) -> None:
    given, _ = settings_of(tmp_path, database.dsn(API), public_url="http://127.0.0.1:1")
    with pytest.raises(NotWorking, match="STANCH_GRAFANA_TOKENS"):
        round_trip.send(given, "grafana")
    with pytest.raises(Unreachable, match="STANCH_PUBLIC_URL"):
        round_trip.send(given, "alertmanager")


@pytest.mark.integration
def test_a_source_by_which_everything_fires_has_no_harmless_test(database: Database, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(
        yaml.safe_dump({"sources": {"bell": {"kind": "generic", "mapping": {"alertname": "name"}}}}), encoding="utf-8"
    )
    given, _ = settings_of(tmp_path, database.dsn(API), generic_tokens=SecretStr("g"), config=tmp_path / "sources.yaml")
    ok, said = round_trip.tried(given, "generic")
    assert not ok
    assert "no harmless test" in said


# --- PagerDuty carries no expression -----------------------------------------------------------------------------


@pytest.mark.integration
@pytest.mark.parametrize(
    ("title", "rules", "slis", "expr"),
    [
        ("[FIRING:1] SlowCheckout (page)", {"SlowCheckout": Rule("SlowCheckout", "up > 1", 0.0)}, [], "up > 1"),
        ("SlowCheckout", {}, [{"alert": "SlowCheckout", "expr": "sli > 2"}], "sli > 2"),
        ("A little bump in the road", {"SlowCheckout": Rule("SlowCheckout", "up > 1", 0.0)}, [], None),
    ],
)
def test_its_signal_is_the_rule_or_the_declared_one_or_none(
    fresh_database: Database, title: str, rules: Any, slis: Any, expr: str | None
) -> None:
    """None makes the verification inconclusive."""
    sources = Sources.of(fresh_database)
    account = Account()
    account.add("PX9", title=title)
    sources.take_in(account.event("incident.triggered", "PX9"), "pagerduty")
    incident = sources.incident(sources.incidents()[-1])
    configuration = Configuration.model_validate({"slis": slis})
    ports = ports_of(sources.api, configuration=configuration)
    assert expression_of(MemoryMetrics(rules=rules), ports, incident) == expr
