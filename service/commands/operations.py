"""migrate, doctor, token, keys, target sql, audit verify: for whoever runs Stanch."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from service.commands.failures import CommandFailed
from service.settings import UnusableSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service.round_trip import Tested


@click.command(epilog="\b\nExample:\n  STANCH_STORE_DSN=postgresql://owner@store/stanch stanch migrate")
def migrate() -> None:
    """Bring the store up to date. STANCH_STORE_DSN must name a role that may create schemas and roles."""
    from connectors.store.migrate import migrate as run

    applied = run(load().require("store_dsn"))
    click.echo("\n".join(f"applied {name}" for name in applied) or "the store is up to date")


@click.command(epilog="\b\nExample:\n  stanch token --person ada@example.com --role approver >> tokens.yaml")
@click.option("--person", required=True)
@click.option("--role", "roles", multiple=True, type=click.Choice(["viewer", "responder", "approver", "admin"]),
              required=True)  # fmt: skip
def token(person: str, roles: tuple[str, ...]) -> None:
    """Make a personal API token: the entry for STANCH_API_TOKENS_FILE on stdout, the token once on stderr."""
    from service.identity import new_token, token_hash

    made = new_token()
    click.echo(f"- {json.dumps({'person': person, 'roles': list(roles), 'sha256': token_hash(made)})}")
    click.echo(f"the token, shown once: {made}", err=True)


@click.command(epilog="\b\nExample:\n  stanch keys --id 2026-11")
@click.option("--id", "key_id", default=None, help="Name of the key; derived from it when not given.")
def keys(key_id: str | None) -> None:
    """Make an Ed25519 key: STANCH_SIGNING_KEY for serve alone, STANCH_VERIFY_KEYS for the executor."""
    from guardrails.permit import SigningKey

    made = SigningKey.generate(key_id)
    click.echo(f"STANCH_SIGNING_KEY={made.text()}")
    click.echo(f"STANCH_VERIFY_KEYS={made.public_text()}")


@click.group()
def target() -> None:
    """What a target needs before Stanch may act on it."""


@target.command(
    "sql",
    epilog="\b\nExample:\n  stanch target sql --database shop --owner shop_owner | psql -h db -U postgres shop",
)
@click.option("--database", required=True, help="The database to be repaired.")
@click.option("--owner", "owners", multiple=True, required=True, help="Role that owns its tables; may be repeated.")
@click.option("--revoke-owner-writes", is_flag=True, help="Where the application connects as another role.")
@click.option("--no-event-triggers", is_flag=True, help="For managed services that refuse them; weaker.")
@click.option(
    "--allow", "allowed", multiple=True, metavar="ACTION", help="Also let this action through; may be repeated."
)
@click.option(
    "--prepared-owner", "prepared_owners", multiple=True, help="Role whose prepared transactions may be ended."
)
def target_sql(
    database: str,
    owners: tuple[str, ...],
    allowed: tuple[str, ...],
    prepared_owners: tuple[str, ...],
    *,
    revoke_owner_writes: bool,
    no_event_triggers: bool,
) -> None:
    """Print the roles, the claim table and the fence, to be read and run by a superuser of the target.

    Let through without asking: concurrent index builds and rebuilds, statistics, vacuum, storage parameters,
    constraints that are validated later, and ending sessions. On request: create_partitioned_index,
    drop_index_concurrently, set_role_setting, alter_system_reload, drop_replication_slot, rollback_prepared.
    """
    from guardrails.fence import DEFAULT_ACTIONS, Fence, UnusableFence

    try:
        fence = Fence(
            database,
            owners,
            revoke_owner_writes=revoke_owner_writes,
            event_triggers=not no_event_triggers,
            actions=DEFAULT_ACTIONS | frozenset(allowed),
            prepared_owners=prepared_owners,
        )
    except UnusableFence as error:
        raise CommandFailed(str(error)) from error
    click.echo(fence.sql())


@click.group()
def audit() -> None:
    """The audit chain."""


@audit.command(epilog="\b\nExample:\n  stanch audit verify")
@click.option("--json", "json_", is_flag=True)
def verify(json_: bool) -> None:
    """Follow the chain from its first row and against the heads kept outside; exit 1 when it is broken."""
    from connectors.store.store import Store
    from service.chain import state

    settings = load()
    store = Store(settings.require("store_dsn"), application_name="stanch audit")
    found = state(store, settings.data_dir / "audit" / "audit-heads.jsonl")
    store.close()
    if json_:
        click.echo(json.dumps({"rows": found.rows, "intact": found.intact, "problems": list(found.problems)}))
    else:
        click.echo(f"{found.rows} rows, " + ("intact" if found.intact else "BROKEN"))
        for problem in found.problems:
            click.echo(f"  {problem}")
    sys.exit(0 if found.intact else 1)


@click.command(
    epilog="\b\nExamples:\n  stanch doctor --json\n  stanch doctor --send-test alertmanager   posts to our own hook, "
    "waits for the worker\n  stanch doctor --send-test pagerduty      asks PagerDuty to ping us\n  "
    "stanch doctor --send-test slack          posts a message with a button\n  "
    "stanch doctor --send-test notices        tells every receiver of notices"
)
@click.option("--json", "json_", is_flag=True)
@click.option(
    "--send-test",
    "tested",
    multiple=True,
    type=click.Choice(["alertmanager", "pagerduty", "grafana", "generic", "changes", "slack", "notices"]),
    help="Send something harmless through this hook and wait until it is taken in; may be repeated.",
)
def doctor(json_: bool, tested: tuple[Tested, ...]) -> None:
    """Check every setting and every connection this process could use; exit 1 when one does not work."""
    found = [_settings_row()]
    if found[0]["ok"]:
        found += _connections()
        found += [_round_trip(name) for name in tested]
    for row in found:
        mark = click.style("ok  ", fg="green") if row["ok"] else click.style("FAIL", fg="red")
        click.echo(json.dumps(row) if json_ else f"{mark} {row['what']}: {row['says']}")
    sys.exit(0 if all(row["ok"] for row in found) else 1)


def _row(what: str, says: str, *, ok: bool) -> dict[str, Any]:
    return {"what": what, "ok": ok, "says": says}


def _settings_row() -> dict[str, Any]:
    from service.configuration import read
    from service.integrations import check

    try:
        settings = load()
        configuration = read(settings.config)
        check(settings)
    except UnusableSettings as error:
        return _row("settings", str(error), ok=False)
    approvers = len(configuration.rules.approvers)
    return _row("settings", f"{len(configuration.targets)} targets, {approvers} approvers"
                + ("" if approvers else ": nobody may approve"), ok=True)  # fmt: skip


def _connections() -> list[dict[str, Any]]:
    from connectors.runbooks import skills
    from connectors.unreachable import Unreachable
    from service import integrations
    from service.configuration import read

    settings = load()
    configuration = read(settings.config)
    probes: dict[str, Callable[[], str]] = {"skills": lambda: f"{len(skills())} usable"}
    if settings.store_dsn:
        probes["store"] = lambda: _store(settings.require("store_dsn"))
    if settings.broker_url:
        probes["broker"] = lambda: _broker(settings.require("broker_url"))
    if settings.prometheus_url:
        probes["prometheus"] = lambda: _prometheus(str(settings.prometheus_url))
    for name, one in configuration.targets.items():
        if one.diagnose_dsn_file and one.diagnose_dsn_file.exists():
            probes[f"target {name}"] = partial(_target, name, one.diagnose_dsn_file)
    probes |= integrations.probes(settings)
    rows = []
    for what, probe in probes.items():
        try:
            rows.append(_row(what, probe(), ok=True))
        except (Unreachable, UnusableSettings, CommandFailed, integrations.NotWorking) as error:
            rows.append(_row(what, str(error), ok=False))
    return rows


def _round_trip(name: Tested) -> dict[str, Any]:
    from service.round_trip import tried

    ok, said = tried(load(), name)
    return _row(f"test {name}", said, ok=ok)


def _store(dsn: str) -> str:
    from connectors.store.migrate import pending

    missing = pending(dsn)
    if missing:
        raise CommandFailed(f"{len(missing)} migrations are missing: run stanch migrate")
    return "answers, up to date"


def _broker(url: str) -> str:
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except ValueError as error:  # from_url; its text may repeat the password
        raise CommandFailed("STANCH_BROKER_URL is no redis:// URL") from error
    except redis.RedisError as error:
        raise CommandFailed(f"does not answer: {type(error).__name__}") from error
    return "answers"


def _prometheus(url: str) -> str:
    from connectors.prometheus import Prometheus

    Prometheus.at(url).rule("", {})
    return "answers"


def _target(name: str, path: Path) -> str:
    from connectors.target.diagnose import Diagnosis
    from service.configuration import dsn

    with Diagnosis(dsn(path, f"diagnose_dsn_file of {name}"), name) as diagnosis:
        seen = diagnosis.identity()
    return f"PostgreSQL {seen.server_version_num // 10000}, database {seen.database}"
