"""Which hooks are on, whose secrets they take, and how much each source may send.

A hook that is on without a secret would be open to anybody: the process refuses to start instead.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from connectors.store.inbox import Inbox
from service.configuration import Configuration, HookKind
from service.refusals import Refusals
from service.settings import PREFIX, UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from service.settings import Settings

SECRET_SETTINGS: Mapping[HookKind, tuple[str, ...]] = {
    "alertmanager": ("alertmanager_tokens",),
    "pagerduty": ("pagerduty_secrets",),
    "grafana": ("grafana_tokens",),
    "generic": ("generic_tokens",),
    # Whoever may send alerts may say that something was deployed; a token of its own can say no more than that.
    "changes": ("changes_tokens", "alertmanager_tokens"),
}


@dataclass(frozen=True, slots=True)
class Secret:
    """value: never shown. source: who holds it; what comes with it is that source's."""

    value: bytes = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Hook:
    """secrets: several are valid at once, during a rotation and for several sources. Empty: the hook is off."""

    kind: HookKind
    secrets: tuple[Secret, ...] = ()

    def off(self) -> str:
        """What to do about it."""
        return f"this hook is off: set {PREFIX}{SECRET_SETTINGS[self.kind][0].upper()}, see docs/integrations"

    def source_of_bearer(self, authorization: str) -> str | None:
        """Whose token it is. Every one is compared, so that the time taken says nothing."""
        scheme, _, sent = authorization.partition(" ")
        given = sent.strip().encode("utf-8", "surrogateescape")
        found = [one.source for one in self.secrets if hmac.compare_digest(one.value, given)]
        return found[0] if found and scheme.lower() == "bearer" else None


def hooks(settings: Settings, configuration: Configuration) -> Mapping[HookKind, Hook]:
    """Every hook, on or off. Raises UnusableSettings naming the one that is on without a secret."""
    found = {kind: Hook(kind, tuple(_secrets(settings, configuration, kind))) for kind in get_args(HookKind)}
    for name in configuration.sources:
        kind = configuration.kind_of(name)
        if kind is not None and not any(secret.source == name for secret in found[kind].secrets):
            raise UnusableSettings(_without_secret(kind, name, configuration))
    pagerduty = found["pagerduty"]
    if not pagerduty.secrets and (settings.pagerduty_api_token or settings.pagerduty_routing_key):
        raise UnusableSettings(f"{PREFIX}PAGERDUTY_SECRETS is not set: the hook /webhooks/pagerduty would be open")
    if settings.pagerduty_api_token and not settings.pagerduty_from:
        raise UnusableSettings(f"{PREFIX}PAGERDUTY_FROM is not set: PagerDuty takes no note without its user's e-mail")
    if not any(hook.secrets for hook in found.values()):
        raise UnusableSettings(
            f"{PREFIX}ALERTMANAGER_TOKENS is not set: the hook /webhooks/alertmanager would be open "
            "(nor is the secret of any other hook)"
        )
    return found


def _without_secret(kind: HookKind, name: str, configuration: Configuration) -> str:
    setting = PREFIX + SECRET_SETTINGS[kind][0].upper()
    where = f"/webhooks/generic/{name}" if kind == "generic" else f"/webhooks/{kind}"
    if name == _unnamed(kind, configuration):
        return f"{setting} is not set: the hook {where} would be open (sources.{name} in stanch.yaml)"
    return f"{setting} holds no {name}:… : sources.{name} in stanch.yaml would be open or never heard ({where})"


def _secrets(settings: Settings, configuration: Configuration, kind: HookKind) -> Iterable[Secret]:
    """`name:secret` belongs to the source of that name, when stanch.yaml has one of this hook; else all of it is the
    secret.
    """
    unnamed = _unnamed(kind, configuration)
    for setting in SECRET_SETTINGS[kind]:
        for part in settings.parts(setting):
            name, colon, rest = part.partition(":")
            if colon and rest and name in configuration.sources and configuration.kind_of(name) == kind:
                yield Secret(rest.encode(), name)
            elif unnamed is not None:
                yield Secret(part.encode(), unnamed)


def _unnamed(kind: HookKind, configuration: Configuration) -> str | None:
    """Whose a secret without a name is. None: nobody's, for several generic sources could not be told apart."""
    if kind != "generic":
        return kind
    names = [name for name in configuration.sources if configuration.kind_of(name) == "generic"]
    return names[0] if len(names) == 1 else None


class Budgets:
    """Posts a source may send: a bucket that fills by posts_per_s and holds two seconds of it."""

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._rates: dict[str, float | None] = {}

    def spend(self, source: str) -> bool:
        """False: too many; the sender should come again later. source: one that has a secret, so there are few."""
        if source not in self._rates:
            self._rates[source] = self._configuration.source(source).posts_per_s
        rate = self._rates[source]
        if rate is None:
            return True
        now, most = self._clock(), max(1.0, 2.0 * rate)
        level, since = self._levels.get(source, (most, now))
        level = min(most, level + (now - since) * rate)
        self._levels[source] = (level - 1.0 if level >= 1.0 else level, now)
        return level >= 1.0


@dataclass(frozen=True, slots=True)
class Doors:
    """What the hooks' routes hold."""

    hooks: Mapping[HookKind, Hook]
    inbox: Inbox
    refusals: Refusals
    budgets: Budgets


def open_doors(settings: Settings, configuration: Configuration) -> Doors:
    """Raises UnusableSettings."""
    return Doors(
        hooks=hooks(settings, configuration),
        inbox=Inbox(settings.require("store_dsn"), application_name="stanch api"),
        refusals=Refusals(),
        budgets=Budgets(configuration),
    )


def closed_doors() -> Doors:
    """Every hook is off."""
    nothing = Configuration()
    return Doors({}, Inbox("", application_name="closed"), Refusals(), Budgets(nothing))
