"""The Slack channel put together: its own connections to the store, its threads, its loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import orjson

from agent.runbook.pinned import skill_of
from connectors.slack.client import Slack
from connectors.slack.guard import Genuine, Guard, Turned
from connectors.slack.people import People
from connectors.store.store import Store
from service import view
from service.loops import POLL_S, Loop
from service.routes.incidents import titles
from service.slack.bolt import Bolt, run_socket
from service.slack.cases import Seen
from service.slack.clicks import Clicks
from service.slack.reconcile import Reconciler
from service.steps.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from slack_bolt.response import BoltResponse

    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.context import Context
    from service.slack.enabled import SlackSettings

CONNECTIONS = 8
"""Of its own: a click waits for the store, never for the other requests' connections."""


class Channel:
    """clock: seconds, for the pace of what is sent."""

    def __init__(self, held: Context, settings: SlackSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._held = held
        self._settings = settings
        self._stop = threading.Event()
        self._socket: asyncio.Task[None] | None = None
        self.store = Store(
            held.settings.require("store_dsn"), application_name="stanch api slack", max_size=CONNECTIONS
        )
        self.guard = Guard(settings.signing_secret) if settings.signing_secret else None
        slack = Slack.at(settings.bot_token, settings.api_url)
        people = People(settings.people.team, settings.people.people, settings.people.usergroup)
        policy = held.ports.configuration.rules
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.reconciler = Reconciler(
            self.store, slack, settings.channel, look=self._look, policy=policy, people=people,
            public_url=held.ports.public_url, owner=owner, clock=clock,
        )  # fmt: skip
        self.loop = Loop("slack", self.reconciler.turn, POLL_S, threading.Event(), self._stop)
        clicks = Clicks(
            Runner(self.store, held.ports.skills, {}, "api", queues=()), slack, people, policy=policy,
            key=held.signing_key, identities=held.identities, public_url=held.ports.public_url,
            wake=self.loop.wake.set,
        )  # fmt: skip
        self.bolt = Bolt(
            clicks, token=settings.bot_token, api_url=settings.api_url, signing_secret=settings.signing_secret
        )

    def start(self) -> None:
        """Inside the running event loop."""
        self.loop.start()
        if self._settings.app_token is not None:
            self._socket = asyncio.get_running_loop().create_task(run_socket(self.bolt, self._settings.app_token))

    async def close(self) -> None:
        self._stop.set()
        self.loop.wake.set()
        if self._socket is not None:
            self._socket.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._socket
        self.bolt.close()
        self.store.close()

    def check(self, headers: Mapping[str, str], body: bytes) -> Genuine | Turned:
        if self.guard is None:
            return Turned(404, "clicks come by Socket Mode here")
        return self.guard.check(headers, body, time.time())

    async def take(self, genuine: Genuine, content_type: str) -> BoltResponse:
        return await self.bolt.take(genuine.key, genuine.body, content_type)

    def _look(self, tx: Transaction, incident: Incident) -> Seen:
        held = self._held
        whole = view.whole(tx, incident, held.ports.configuration, titles(held, incident))
        rows = tx.all("approvals_of", incident=incident.id)
        post = tx.one("postmortem", incident=incident.id)
        control = tx.one("control")
        return Seen(
            whole=whole,
            approvals=tuple((row, tuple(tx.all("decisions", approval=row["id"]))) for row in rows),
            runs=tuple(tx.all("executions", incident=incident.id)),
            advice=self._advice(tx, incident, whole["proposal"]),
            postmortem=post["markdown"] if post else None,
            paused=(control["reason"] or "") if control and control["paused"] else None,
        )

    def _advice(self, tx: Transaction, incident: Incident, fix: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the check measured that gave the proposal its parameters. Empty when there is none."""
        skill = skill_of(self._held.ports.skills, incident)
        if fix is None or skill is None:
            return {}
        names = {one.params_from for one in skill.remediations if one.action == fix["action"]}
        rows = [row for row in tx.all("evidence", incident=incident.id) if row["name"] in names]
        found: dict[str, Any] = orjson.loads(bytes(rows[-1]["body"])) if rows else {}
        return found
