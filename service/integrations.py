"""How the systems round us are: asked by `stanch doctor` once, and by the API process every few minutes."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import structlog

from connectors.alertmanager.client import Alertmanager
from connectors.pagerduty.client import Events, PagerDuty
from connectors.unreachable import Unreachable
from service import notices
from service.configuration import read
from service.loops import Loop
from service.pagerduty_sync import PagerDutySync
from service.pagerduty_sync import loop as sync_loop
from service.settings import PREFIX, UnusableSettings
from service.silences import Silences
from service.silences import loop as silence_loop
from service.slack import enabled as slack_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connectors.store.store import Store
    from service.configuration import Configuration
    from service.settings import Settings
    from service.slack.enabled import SlackSettings

log = structlog.get_logger()

LOOK_EVERY_S = 300.0
HOOK_PATH = "/webhooks/pagerduty"


class NotWorking(Exception):
    """A system answers, and is not as it should be; the message says what to do."""


def alertmanager(settings: Settings) -> Alertmanager | None:
    """Raises UnusableSettings."""
    if not settings.alertmanager_url:
        return None
    try:
        return Alertmanager(settings.alertmanager_url)
    except ValueError as error:
        raise UnusableSettings(f"{PREFIX}{error}") from None


def pagerduty(settings: Settings) -> PagerDuty | None:
    """Raises UnusableSettings."""
    token, sender = settings.pagerduty_api_token, settings.pagerduty_from
    if token is None or not token.get_secret_value():
        return None
    if not sender:
        raise UnusableSettings(f"{PREFIX}PAGERDUTY_FROM is not set: PagerDuty takes no note without its user's e-mail")
    try:
        return PagerDuty(settings.pagerduty_api_url, token, sender)
    except ValueError as error:
        raise UnusableSettings(f"{PREFIX}{error}") from None


def pagerduty_events(settings: Settings) -> Events | None:
    """Raises UnusableSettings."""
    key = settings.pagerduty_routing_key
    if key is None or not key.get_secret_value():
        return None
    try:
        return Events(settings.pagerduty_events_url, key)
    except ValueError as error:
        raise UnusableSettings(f"{PREFIX}{error}") from None


def probes(settings: Settings) -> Mapping[str, Callable[[], str]]:
    """By name, what asks a configured system and says how it is. Each raises Unreachable or NotWorking.

    Raises UnusableSettings.
    """
    found: dict[str, Callable[[], str]] = {}
    watched = alertmanager(settings)
    if watched is not None:
        found["alertmanager"] = lambda: f"answers, version {watched.version()}"
    rest = pagerduty(settings)
    if rest is not None:
        found["pagerduty token"] = partial(_token, rest)
        found["pagerduty subscription"] = partial(_subscription, rest, settings.public_url.rstrip("/") + HOOK_PATH)
    secrets = (settings.slack_bot_token, settings.slack_signing_secret, settings.slack_app_token)
    chat = slack_settings.slack(settings, read(settings.config)) if any(secrets) else None
    if chat is not None:
        found["slack"] = partial(_slack, chat)
    return found


def check(settings: Settings) -> None:
    """That every address and name that is set can be used. Raises UnusableSettings."""
    probes(settings)
    pagerduty_events(settings)
    notices.configured(settings, read(settings.config))


def _slack(found: SlackSettings) -> str:
    from service.slack.doctor import look as look_at  # noqa: PLC0415 only whoever has Slack pays for importing it

    return look_at(found)


def _token(rest: PagerDuty) -> str:
    rest.reach()
    return "may read incidents"


def _subscription(rest: PagerDuty, url: str) -> str:
    found = rest.subscription_to(url)
    if found is None:
        raise NotWorking(f"no webhook subscription posts to {url}: make one, see docs/integrations/pagerduty.md")
    if not found.active:
        raise NotWorking(f"the webhook subscription {found.id} is switched off: switch it on in PagerDuty")
    if found.suspended:
        raise NotWorking(
            f"PagerDuty suspended the webhook subscription {found.id} after dropped events: "
            "find out why it got 4xx answers, then enable it again in PagerDuty"
        )
    return f"{found.id} posts to {url}"


def loops(settings: Settings, configuration: Configuration, store: Store, stop: threading.Event) -> Sequence[Loop]:
    """What the API process runs for the configured systems; empty when there are none. Raises UnusableSettings."""
    found: list[Loop] = []
    url = settings.public_url.rstrip("/")
    rest, events = pagerduty(settings), pagerduty_events(settings)
    if rest is not None or events is not None:
        found.append(sync_loop(PagerDutySync(store, rest, events, url), stop))
    watched = alertmanager(settings)
    if watched is not None and configuration.silence_while_fixing:
        names = [name for name in configuration.sources if configuration.kind_of(name) == "alertmanager"]
        plan = configuration.verification
        made = Silences(store, watched, names or ["alertmanager"], url, plan.window_s + plan.deadline_s)
        found.append(silence_loop(made, stop))
    asked = probes(settings)
    if asked:
        found.append(watchdog(asked, store, stop))
    return found


def watchdog(asked: Mapping[str, Callable[[], str]], store: Store, stop: threading.Event) -> Loop:
    """Writes down how each system is; says so in the log and the audit when that changes."""
    last: dict[str, bool] = {}

    def body() -> None:
        for name, probe in asked.items():
            ok, says = look(probe)
            with store.transaction() as tx:
                tx.run("set_integration", name=name, ok=ok, says=says[:500])
                if last.get(name, True) != ok:
                    tx.audit(None, "watchdog", "integration", {"name": name, "ok": ok, "note": says[:500]})
            if last.get(name, True) != ok:
                log.warning("integration", name=name, ok=ok, says=says)
            last[name] = ok

    return Loop("watchdog", body, LOOK_EVERY_S, threading.Event(), stop)


def look(probe: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, probe()
    except (Unreachable, NotWorking) as error:
        return False, str(error)
