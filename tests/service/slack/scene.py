"""The real application on a real store, with a local server that plays Slack beside it; its loop turns by hand."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr

from agent.incident import Conclusion
from lab.slack import workspace as slack
from lab.slack.workspace import Workspace, command_form, form, signed
from service.slack.channel import Channel
from service.slack.enabled import slack as slack_settings
from tests.service.app_world import App, app_on
from tests.service.incident_world import PEOPLE, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import httpx

    from lab.slack.workspace import Posted
    from tests.connectors.store.database import Database

ADA, BOB, RHEA, VIC, STRANGER = "U0ADA", "U0BOB", "U0RHEA", "U0VIC", "U0EVE"
GROUP = "S0APPROVERS"
NAMES = {ADA: "ada@example.com", BOB: "bob@example.com", RHEA: "rhea@example.com", VIC: "vic@example.com"}
MORE = {f"U1P{number}": person for number, person in enumerate(PEOPLE)}


@dataclass
class Clock:
    """Time that passes only between questions, so that a pace is kept without waiting for it."""

    now_s: float = 1000.0
    step_s: float = 2.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> float:
        with self._lock:
            self.now_s += self.step_s
            return self.now_s


@dataclass
class Scene:
    world: World
    place: Path
    workspace: Workspace
    clock: Clock
    app: App
    channel: Channel
    waited_s: list[float]
    """How long a person has had a modal's trigger: settable, whatever this machine is busy with."""

    def turn(self, times: int = 6) -> None:
        """As the loop would: until everything stands."""
        for _ in range(times):
            self.channel.reconciler.turn()

    def send(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.app.ask(
            "POST", f"/slack/{path}", content=body, headers=signed(body) if headers is None else headers
        )

    def press(self, message: Posted, action_id: str, user: str = ADA, **changes: Any) -> httpx.Response:
        return self.send("interactivity", form(self.workspace.press(message, action_id, user, **changes)))

    def submit(self, view_id: str, user: str, values: Mapping[str, Any], **changes: Any) -> httpx.Response:
        return self.send("interactivity", form(self.workspace.submit(view_id, user, values, **changes)))

    def command_only(self, text: str, user: str = ADA) -> httpx.Response:
        return self.send("commands", command_form(self.workspace.command(text, user)))

    def command(self, text: str, user: str = ADA, **changes: Any) -> str:
        """What the person is answered."""
        before = len(self.workspace.whispers(user))
        assert self.send("commands", command_form(self.workspace.command(text, user, **changes))).status_code == 200
        until(lambda: len(self.workspace.whispers(user)) > before)
        return self.workspace.whispers(user)[-1]

    def proposal(self, approval: str) -> Posted:
        """The message of an approval, as it stands in Slack."""
        rows = self.world.database.run(
            "SELECT ts FROM stanch.slack_message WHERE kind = 'approval' AND ref = %s", (approval,)
        )
        found = [one for one in self.workspace.messages if rows and one.ts == rows[0][0]]
        assert found, [one.text for one in self.workspace.messages]
        return found[0]

    def waiting(self, **arguments: Any) -> tuple[int, str, Posted]:
        """An incident that waits for a decision, and its message."""
        number, approval, _ = self.world.awaiting(**arguments)
        self.turn()
        return number, approval, self.proposal(approval)

    def conclude(self, number: int) -> None:
        """As an investigation would have left it: the cause, for which the skill names the fix."""
        conclusion = Conclusion("missing_index", "Missing index", 0.9, 0.8, 0.95, None)
        working = replace(self.world.incident(number).working, conclusion=conclusion).as_data()
        self.world.database.run(
            "UPDATE stanch.incident SET working = %s::jsonb, version = version + 1 WHERE id = %s",
            (json.dumps(working), number),
        )

    def refusals(self, number: int | None) -> list[dict[str, Any]]:
        rows = self.world.database.run(
            "SELECT actor, data FROM stanch.audit WHERE action = 'DecisionRefused'"
            " AND incident_id IS NOT DISTINCT FROM %s ORDER BY id",
            (number,),
        )
        return [{"actor": actor, **data} for actor, data in rows]

    def answered(self, user: str, count: int = 1) -> str:
        """The newest thing only this person sees."""
        until(lambda: len(self.workspace.whispers(user)) >= count)
        return self.workspace.whispers(user)[-1]

    def close(self) -> None:
        self.channel.bolt.close()
        self.channel.store.close()
        self.app.close()
        self.workspace.stop()


def until(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Waits for work on another thread. Fails when it does not come at all."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def configuration(place: Path, **changes: Any) -> Path:
    document = {
        "targets": {"shop": {"mode": "act", "environment": "production"}},
        "approvers": ["ada@example.com", "bob@example.com", *PEOPLE],
        "slack": {"team": slack.TEAM, "people": {**NAMES, **MORE}},
        **changes,
    }
    path = place / "slack.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def scene_on(database: Database, place: Path, *, world: World | None = None, **changes: Any) -> Scene:
    """changes: of stanch.yaml."""
    clock = Clock()
    waited_s = [0.0]
    workspace = Workspace(clock=clock, patience=lambda: waited_s[0])
    workspace.start()
    for user in (*NAMES, *MORE):
        workspace.add(user)
    settings: dict[str, Any] = {
        "config": configuration(place, **changes),
        "slack_bot_token": SecretStr(slack.BOT_TOKEN),
        "slack_signing_secret": SecretStr(slack.SIGNING_SECRET),
        "slack_channel": slack.CHANNEL,
        "slack_api_url": workspace.api_url,
    }
    app = app_on(database, place, **settings)
    made = app.app.state.slack
    made.bolt.close()
    made.store.close()
    enabled = slack_settings(app.held.settings, app.held.ports.configuration)
    assert enabled is not None
    channel = app.app.state.slack = Channel(app.held, enabled, clock=clock)
    return Scene(world or World(database), place, workspace, clock, app, channel, waited_s)
