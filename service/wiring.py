"""The only place where concrete classes meet."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from connectors import runbooks
from connectors.prometheus import Prometheus
from connectors.store.skills import SkillVersions
from connectors.store.skills_in_use import SkillsInUse
from connectors.store.store import Store
from connectors.unreachable import Unreachable
from guardrails.permit import SigningKey, UnusableKey, VerifyKeys
from service import configuration as configured
from service.ports import Ports
from service.settings import Settings, UnusableSettings
from service.slack import enabled as slack_settings
from service.steps import (
    approve,
    causes,
    effect,
    execute,
    intake,
    investigate,
    postmortem,
    remember,
    siblings,
    triage,
    verify,
)
from service.steps.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from agent.database.snapshot import NotVisible
    from agent.machine import Queue
    from agent.ports import TargetReader, TargetWriter
    from connectors.oidc import OpenIdProvider
    from guardrails.action import Action
    from guardrails.facts import Facts
    from guardrails.index_action import Connection as Role
    from service.configuration import Configuration
    from service.context import Context
    from service.ports import Writers
    from service.slack.channel import Channel
    from service.steps.runner import Handler


def _not_here(what: str) -> NoReturn:
    raise Unreachable(what, "this process holds no way to it", permanent=True)


def ports(settings: Settings, process: str) -> Ports:
    """What every process has. Raises UnusableSettings."""
    configuration = configured.read(settings.config)
    try:
        metrics = Prometheus.at(settings.prometheus_url) if settings.prometheus_url else None
        keys = VerifyKeys.from_text(settings.verify_keys)
    except UnusableKey as error:
        raise UnusableSettings(f"STANCH_VERIFY_KEYS: {error}") from error
    except ValueError as error:
        raise UnusableSettings(f"STANCH_PROMETHEUS_URL: {error}") from error
    diagnosing = _Diagnosing(configuration) if process == "worker" else None
    store = Store(settings.require("store_dsn"), application_name=f"stanch {process}")
    return Ports(
        store=store,
        configuration=configuration,
        skills=SkillsInUse(SkillVersions(store), runbooks.texts(), seeds=process != "executor"),
        metrics=metrics,
        data_dir=settings.data_dir,
        public_url=settings.public_url.rstrip("/"),
        reader=diagnosing.reader if diagnosing else lambda target: _not_here(f"target {target}"),
        writer=_fixing(configuration)
        if process == "executor"
        else lambda target, role="fix": _not_here(f"target {target} as {role}"),
        facts=diagnosing.facts if diagnosing else lambda target, *_: _not_here(f"target {target}"),
        identity=diagnosing.identity if diagnosing else lambda target: _not_here(f"target {target}"),
        verify_keys=keys,
    )


class _Diagnosing:
    """Short-lived read-only connections to the targets."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @contextmanager
    def reader(self, target: str) -> Iterator[TargetReader]:
        with self._open(target) as diagnosis:
            yield diagnosis

    def facts(
        self, target: str, action: Action, now: datetime, recent_executions: int
    ) -> tuple[Facts, tuple[NotVisible, ...]]:
        environment = self._configuration.targets[target].environment
        with self._open(target) as diagnosis:
            facts: tuple[Facts, tuple[NotVisible, ...]] = diagnosis.facts(
                action, environment=environment, now=now, recent_executions=recent_executions
            )
        return facts

    def identity(self, target: str) -> dict[str, Any]:
        with self._open(target) as diagnosis:
            seen = diagnosis.identity()
        return {"name": seen.name, "system_identifier": seen.system_identifier, "database": seen.database}

    def _open(self, target: str) -> AbstractContextManager[Any]:
        from connectors.target.diagnose import Diagnosis  # noqa: PLC0415 only the worker reads targets

        path = self._configuration.targets[target].diagnose_dsn_file
        return Diagnosis(configured.dsn(path, f"diagnose_dsn_file of {target}"), target)


def _fixing(configuration: Configuration) -> Writers:
    from connectors.target.fix import FixConnection  # noqa: PLC0415 only the executor writes to targets

    def writer(target: str, role: Role = "fix") -> AbstractContextManager[TargetWriter]:
        known = configuration.targets.get(target)
        if known is None:
            raise Unreachable(f"target {target}", "it is not configured here", permanent=True)
        files = {"fix": known.fix_dsn_file, "signal": known.signal_dsn_file, "admin": known.admin_dsn_file}
        if files[role] is None:
            why = f"it has no {role}_dsn_file in stanch.yaml, which this action needs"
            raise Unreachable(f"target {target}", why, permanent=True)
        return FixConnection(
            configured.dsn(files[role], f"{role}_dsn_file of {target}"),
            target,
            role=role,
            policy=configuration.rules,
            environment=known.environment,
        )

    return writer


def agent_handlers(given: Ports) -> Mapping[str, Handler]:
    return {
        "intake": intake.intake(given.configuration),
        "triage": triage.triage(given.configuration, given.skills, given.metrics),
        "check": investigate.check(given, investigate.ask_agent),
        "propose": investigate.propose(given),
        "verify": verify.verify(given),
        "sibling_sweep": siblings.sweep(given),
        "postmortem": postmortem.postmortem(given),
        "remember": remember.remember(given),
    }


def causal_handlers(given: Ports) -> Mapping[str, Handler]:
    return {"check": investigate.check(given, causes.ask_causal), "attribute": causes.attribute(given)}


def both_handlers(given: Ports) -> Mapping[str, Handler]:
    """For a worker that serves both queues: a check goes to whoever can answer its tool."""

    def ask(*arguments: Any) -> Any:
        asked = arguments[-1]
        return causes.ask_causal(*arguments) if asked.tool == "causal" else investigate.ask_agent(*arguments)

    return {**agent_handlers(given), **causal_handlers(given), "check": investigate.check(given, ask)}


def executor_handlers(given: Ports) -> Mapping[str, Handler]:
    return {"execute": execute.execute(given), "effect": effect.effect(given)}


API_HANDLERS: Mapping[str, Handler] = {
    "open_approval": approve.open_approval,
    "void_approvals": approve.void_approvals,
    "authorise_rollback": approve.authorise_rollback,
}


def runner(given: Ports, handlers: Mapping[str, Handler], actor: str, queues: Sequence[Queue]) -> Runner:
    return Runner(given.store, given.skills, handlers, actor, queues=queues)


def provider(settings: Settings) -> OpenIdProvider | None:
    """None when no OpenID provider is configured. Raises UnusableSettings when only part of one is."""
    named = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    if not any(named):
        return None
    from connectors.oidc import OpenIdProvider  # noqa: PLC0415 costs a second that only its users should pay

    return OpenIdProvider(
        settings.require("oidc_issuer"),
        settings.require("oidc_client_id"),
        settings.require("oidc_client_secret"),
        person_claim=settings.oidc_person_claim,
    )


def signing_key(settings: Settings) -> SigningKey:
    """Raises UnusableSettings."""
    try:
        return SigningKey.from_text(settings.require("signing_key"))
    except UnusableKey as error:
        raise UnusableSettings(f"STANCH_SIGNING_KEY: {error}") from error


def slack_channel(held: Context) -> Channel | None:
    """None: Slack is not set up, and then nothing of it is imported either. Raises UnusableSettings."""
    found = slack_settings.slack(held.settings, held.ports.configuration)
    if found is None:
        return None
    from service.slack.channel import Channel as SlackChannel  # noqa: PLC0415 a second to import, for whoever has Slack

    return SlackChannel(held, found)
