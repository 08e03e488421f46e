"""Events for others: none lost, none twice in the outbox, retried until taken, told when given up."""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from agent.events import VerificationSampled
from connectors.notify import Apprise, ExtraMissing, Receiver, Undelivered, Webhooks
from service import notices
from service.configuration import Configuration
from service.loops import seal_all
from service.settings import Settings, UnusableSettings
from service.steps.approve import expire, take
from tests.connectors.store.database import API
from tests.service.incident_world import CONFIGURATION, KEY, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.store.store import Store
    from tests.service.incident_world import World

pytestmark = pytest.mark.integration

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OPS = Receiver("ops", "https://hooks.example.com/")


@dataclass
class Heard:
    """Notes what it was to send; refuses as it is told."""

    sent: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refuses: Undelivered | None = None

    def send(self, receiver: Receiver, message_id: str, at: datetime, body: str) -> None:  # noqa: ARG002 the same signature
        if self.refuses is not None:
            raise self.refuses
        self.sent.append((receiver.name, message_id, json.loads(body)))


def given(heard: Heard, *, events: frozenset[str] = notices.EVENTS, name: str = "webhook:ops") -> notices.Configured:
    return notices.Configured({name: OPS}, {name: events}, heard)


def rounds(store: Store, sender: notices.Sender, configured: notices.Configured) -> None:
    """What the loops do until nothing is left."""
    seal_all(store)
    while notices.tell(store, configured, "https://stanch.example"):
        pass
    while sender.turn():
        pass


@dataclass
class Scene:
    world: World
    store: Store
    heard: Heard
    configured: notices.Configured
    sender: notices.Sender

    def go(self) -> list[tuple[str, str, dict[str, Any]]]:
        rounds(self.store, self.sender, self.configured)
        return self.heard.sent

    def hurry(self) -> None:
        self.world.database.run("UPDATE stanch.notice SET not_before = clock_timestamp() WHERE state = 'waiting'")


@pytest.fixture
def scene(fresh_world: World) -> Scene:
    heard = Heard()
    configured = given(heard)
    store = fresh_world.database.store(API)
    scene = Scene(fresh_world, store, heard, configured, notices.Sender(store, configured))
    scene.go()
    return scene


def kinds(sent: Sequence[tuple[str, str, dict[str, Any]]]) -> list[str]:
    return [body["type"] for _, _, body in sent]


def test_an_incident_is_told_from_its_opening_to_the_decision(scene: Scene) -> None:
    number, approval, signed = scene.world.awaiting()
    take(scene.world.api, CONFIGURATION.rules, KEY, approval, ask(signed))
    sent = scene.go()
    assert kinds(sent) == ["incident.opened", "incident.proposed", "incident.decided"]
    body = sent[-1][2]
    assert body["data"]["incident"] == f"INC-{number}"
    assert body["data"]["note"] == "approve by ada@example.com"
    assert body["data"]["url"] == f"https://stanch.example/i/INC-{number}"


def test_what_nobody_decided_is_told_and_that_a_human_is_needed(scene: Scene) -> None:
    scene.world.awaiting(decide_s=0.1)
    threading.Event().wait(0.2)
    expire(scene.world.api)
    assert kinds(scene.go())[2:] == ["incident.decided", "incident.needs_human"]


def test_only_a_verdict_is_told_not_every_look(scene: Scene) -> None:
    row: dict[str, Any] = {"incident_id": 1, "action": "VerificationSampled", "data": {}}
    assert notices.types_of(row) == ()
    row["data"] = {"to": "resolved"}
    assert notices.types_of(row) == ("incident.verified",)
    row["data"] = {"to": "needs_human"}
    assert notices.types_of(row) == ("incident.verified", "incident.needs_human")
    assert VerificationSampled.__name__ == "VerificationSampled"
    assert notices.types_of({"incident_id": None, "action": "Decided", "data": {}}) == ()
    assert scene.heard.sent == []


def test_each_event_has_one_id_however_often_it_is_sent(scene: Scene) -> None:
    scene.world.received()
    scene.heard.refuses = Undelivered("ops", "HTTP 500")
    scene.go()
    assert scene.heard.sent == []
    scene.heard.refuses = None
    scene.hurry()
    scene.go()
    scene.go()
    (only,) = scene.heard.sent
    assert only[1].startswith("msg_")


def test_a_receiver_that_is_away_is_asked_later_and_later_and_then_given_up(scene: Scene) -> None:
    scene.world.received()
    scene.heard.refuses = Undelivered("ops", "HTTP 503")
    waits = []
    for _ in range(len(notices.RETRY_S)):
        scene.hurry()
        scene.go()
        ((wait,),) = scene.world.database.run(
            "SELECT extract(epoch FROM not_before - clock_timestamp())::float8 FROM stanch.notice"
        )
        waits.append(wait)
    assert all(later > sooner for sooner, later in itertools.pairwise(waits))
    scene.hurry()
    scene.go()
    assert scene.world.database.run("SELECT state FROM stanch.notice") == [("gave_up",)]
    assert scene.world.audit(None).count("NoticeGivenUp") == 1


def test_a_receiver_that_asks_for_patience_gets_it(scene: Scene) -> None:
    scene.world.received()
    scene.heard.refuses = Undelivered("ops", "HTTP 429", wait_s=4000.0)
    scene.go()
    ((late,),) = scene.world.database.run(
        "SELECT not_before > clock_timestamp() + interval '3900 s' FROM stanch.notice"
    )
    assert late


def test_a_receiver_that_wants_no_more_is_not_asked_again(scene: Scene) -> None:
    scene.world.received()
    scene.heard.refuses = Undelivered("ops", "HTTP 410", permanent=True)
    scene.go()
    assert scene.world.database.run("SELECT state, attempts FROM stanch.notice") == [("gave_up", 1)]


def test_a_receiver_hears_only_what_it_asked_for(scene: Scene) -> None:
    heard = Heard()
    configured = given(heard, events=frozenset({"incident.proposed"}), name="webhook:few")
    sender = notices.Sender(scene.store, configured, owner=scene.sender.owner)
    scene.world.awaiting()
    rounds(scene.store, sender, configured)
    assert kinds(heard.sent) == ["incident.proposed"]


def test_what_was_before_the_first_receiver_is_not_told(fresh_world: World) -> None:
    fresh_world.awaiting()
    store = fresh_world.database.store(API)
    seal_all(store)
    heard = Heard()
    configured = given(heard)
    rounds(store, notices.Sender(store, configured), configured)
    assert heard.sent == []


def test_several_processes_tell_everything_once(scene: Scene) -> None:
    for _ in range(5):
        scene.world.awaiting()
    seal_all(scene.store)
    scene.world.database.run("DELETE FROM stanch.channel_lease")
    senders = [notices.Sender(scene.store, scene.configured) for _ in range(4)]

    def work(one: notices.Sender) -> None:
        for _ in range(4):
            notices.tell(scene.store, scene.configured, "")
            one.turn()

    threads = [threading.Thread(target=work, args=(one,)) for one in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [message_id for _, message_id, _ in scene.heard.sent]
    assert len(ids) == len(set(ids)) == 10


def test_a_test_goes_to_every_receiver_and_says_who_did_not_take_it() -> None:
    heard, at = Heard(), datetime(2026, 1, 1, tzinfo=UTC)

    assert notices.send_test(given(heard), "https://stanch.example", at) == {"webhook:ops": None}
    [(name, _, body)] = heard.sent
    assert (name, body["type"], body["timestamp"]) == ("ops", "stanch.test", "2026-01-01T00:00:00+00:00")

    heard.refuses = Undelivered("ops", "HTTP 500")
    assert notices.send_test(given(heard), "https://stanch.example", at) == {"webhook:ops": "receiver ops: HTTP 500"}


def test_apprise_gets_a_title_and_the_way_to_the_page() -> None:
    data = {"incident": "INC-1", "title": "x", "note": "y", "url": "https://stanch.example/i/INC-1"}
    title, text = notices.words({"type": "incident.needs_human", "data": data})
    assert title == "INC-1: needs human"
    assert text == "x\ny\nhttps://stanch.example/i/INC-1"


# --- Settings --------------------------------------------------------------------------------------------------------

NAMED = Configuration.model_validate({"notices": [{"name": "ops", "url": "https://hooks.example.com/"}]})


def test_nothing_configured_is_nobody_told() -> None:
    assert notices.configured(Settings(), Configuration()) is None


def test_a_receiver_without_a_secret_is_refused() -> None:
    with pytest.raises(UnusableSettings, match="STANCH_NOTICE_SECRETS is not set"):
        notices.configured(Settings(), NAMED)
    with pytest.raises(UnusableSettings, match="secret 1"):
        notices.configured(Settings(notice_secrets=SecretStr("short")), NAMED)


def test_with_a_secret_it_signs() -> None:
    found = notices.configured(Settings(notice_secrets=SecretStr(SECRET)), NAMED)
    assert found is not None
    assert found.events["webhook:ops"] == notices.EVENTS
    assert isinstance(found.webhooks, Webhooks)
    assert found.webhooks.secrets == (SECRET,)


def test_apprise_without_its_extra_says_how_to_get_it() -> None:
    def missing(_urls: Sequence[str]) -> Apprise:
        raise ExtraMissing("apprise is not installed: .venv/bin/python -m pip install 'apprise>=1.9'")

    with pytest.raises(UnusableSettings, match=re.escape("apprise>=1.9")):
        notices.configured(Settings(apprise_urls=SecretStr("json://x/")), Configuration(), apprise=missing)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's own import
def test_an_address_apprise_does_not_know_is_refused_without_repeating_it() -> None:
    with pytest.raises(UnusableSettings, match="address 1") as raised:
        notices.configured(Settings(apprise_urls=SecretStr("nonsense-secret")), Configuration())
    assert "nonsense-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "section",
    [
        [{"name": "ops", "url": "ftp://x/"}],
        [{"name": "ops", "url": "https://user:password@x/"}],
        [{"name": "Ops!", "url": "https://x/"}],
        [{"name": "ops", "url": "https://x/", "events": ["incident.exploded"]}],
        [{"name": "ops", "url": "https://x/"}, {"name": "ops", "url": "https://y/"}],
    ],
)
def test_a_receiver_that_is_not_understood_is_refused(section: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="notices"):
        Configuration.model_validate({"notices": section})
