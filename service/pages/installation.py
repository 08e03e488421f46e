"""What this installation is: read from its file and its settings, shown without any secret, and never edited here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from guardrails.judge import RISK_IN_PRODUCTION
from guardrails.verdict import RISKS
from service.hooks import hooks
from service.notices import APPRISE, WEBHOOK
from service.round_trip import Tested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.store.store import Row, Transaction
    from guardrails.policy import Policy
    from service.access import Way
    from service.configuration import Configuration, Target
    from service.context import Context
    from service.identity import Person
    from service.settings import Settings

STALE_S = 180.0
"""Three looks of service/access.py; older than that nobody is looking."""

TESTED: frozenset[str] = frozenset(get_args(Tested))
WAYS: Mapping[Way, str] = {
    "diagnose": "looks, read only",
    "fix": "builds and drops what a fix needs",
    "signal": "ends sessions of others",
    "admin": "changes settings of the server",
}
"""The connections to a target and what each is for."""


def read(tx: Transaction, held: Context, person: Person) -> dict[str, Any]:
    """Everything the page shows to this person."""
    configuration = held.ports.configuration
    ages = {row["source"]: row["age_s"] for row in tx.all("last_received")}
    return {
        "hooks": _hooks(held.settings, configuration, ages),
        "outgoing": [
            *_outgoing(held.settings, tx.all("integrations")),
            _notices(tx, held.settings, configuration),
        ],
        "logins": _logins(held.settings, configuration),
        "policy": policy(configuration.rules),
        "targets": [
            _target(name, target, tx.all("target_access")) for name, target in sorted(configuration.targets.items())
        ],
        "control": tx.one("control") or {"paused": False, "reason": None, "person": None, "at": None},
        "may_test": person.may("admin"),
        "may_pause": person.may("responder") or person.may("approver"),
        "may_resume": person.may("approver"),
        "tokens": tx.all("api_tokens_of", person=person.name),
        "config": str(held.settings.config) if held.settings.config else None,
    }


def _hooks(settings: Settings, configuration: Configuration, ages: dict[str, float]) -> list[dict[str, Any]]:
    """One row a hook. age_s None: nothing has come yet."""
    return [
        {
            "name": kind,
            "path": f"/webhooks/{kind}",
            "on": bool(hook.secrets),
            "test": kind if hook.secrets and kind in TESTED else None,
            "secrets": len(hook.secrets),
            "off": hook.off(),
            "age_s": min((ages[one.source] for one in hook.secrets if one.source in ages), default=ages.get(kind)),
        }
        for kind, hook in sorted(hooks(settings, configuration).items())
    ]


def _outgoing(settings: Settings, looks: list[Row]) -> list[dict[str, Any]]:
    """What Stanch writes to or asks. set: the setting that turns it on. looks: what the watchdog saw there last."""
    seen: dict[str, list[Row]] = {}
    for row in looks:
        seen.setdefault(row["name"].partition(" ")[0], []).append(row)
    return [
        {
            "name": name,
            "on": bool(getattr(settings, setting)),
            "set": f"STANCH_{setting.upper()}",
            "seen": seen.get(system, ()) if getattr(settings, setting) else (),
            "test": system if system == "slack" and getattr(settings, setting) else None,
        }
        for name, system, setting in (
            ("Slack", "slack", "slack_bot_token"),
            ("PagerDuty notes and state", "pagerduty", "pagerduty_api_token"),
            ("Alertmanager silences", "alertmanager", "alertmanager_url"),
            ("Prometheus", "prometheus", "prometheus_url"),
        )
    ]


def _notices(tx: Transaction, settings: Settings, configuration: Configuration) -> dict[str, Any]:
    """Who is told what happens, by name: an address may hold a secret. seen: what became of each one's last notice."""
    given = settings.apprise_urls is not None and settings.apprise_urls.get_secret_value().split()
    receivers = [f"{WEBHOOK}{one.name}" for one in configuration.notices] + ([APPRISE] if given else [])
    rows = tx.all("last_notices", receivers=receivers) if receivers else ()
    return {
        "name": f"Notices to {', '.join(one.removeprefix(WEBHOOK) for one in receivers)}" if receivers else "Notices",
        "on": bool(receivers),
        "set": "a receiver under notices in stanch.yaml, or STANCH_APPRISE_URLS,",
        "seen": [seen for row in rows if (seen := _last_notice(row))],
        "test": "notices" if receivers else None,
    }


def _last_notice(row: Row) -> dict[str, Any] | None:
    """None: it has not been told anything yet."""
    name = row["receiver"].removeprefix(WEBHOOK)
    if row["failing"]:
        says = f"{row['failing']} not taken yet, tried again later: {row['why']}"
        return {"name": name, "ok": False, "age_s": row["failing_age_s"], "says": says}
    if row["state"] is None:
        return None
    taken = row["state"] == "delivered"
    says = f"took {row['type']}" if taken else f"{row['type']} was given up: {row['error']}"
    return {"name": name, "ok": taken, "age_s": row["age_s"], "says": says}


def _logins(settings: Settings, configuration: Configuration) -> list[str]:
    ways = ["personal API tokens"]
    if settings.oidc_issuer:
        ways.append(f"OpenID: {settings.oidc_issuer}")
    if settings.proxy_addresses:
        ways.append(f"a proxy at {settings.proxy_addresses}")
    if configuration.groups:
        ways.append(f"roles by group: {', '.join(sorted(configuration.groups))}")
    return ways


def policy(rules: Policy) -> dict[str, Any]:
    """The policy as it is in force, risk by risk."""
    return {
        "approvers": [
            {"person": one.person, "targets": ", ".join(sorted(one.targets)) or "every target"}
            for one in rules.approvers
        ],
        "risks": [
            {
                "risk": risk,
                "needed": rules.approvers_needed(risk),
                "channels": ", ".join(sorted(rules.channels(risk))) or "nowhere",
                "actions": ", ".join(sorted(kind for kind, of in RISK_IN_PRODUCTION.items() if of == risk)),
            }
            for risk in RISKS
        ],
        "decide_within_s": rules.decide_within_s,
        "escalate_after_s": rules.escalate_after_s,
        "start_within_s": rules.start_within_s,
        "self_approval_in": ", ".join(sorted(rules.self_approval_in)) or "nowhere",
        "never": ", ".join(sorted(rules.never)) or "nothing is listed",
        "rate": f"{rules.rate_limit.executions} in {rules.rate_limit.window_s:.0f} s on one target",
        "freezes": [{"from": one.begins, "until": one.ends, "reason": one.reason} for one in rules.freezes],
    }


def _target(name: str, target: Target, rows: list[Row]) -> dict[str, Any]:
    access = {row["connection"]: row for row in rows if row["target"] == name}
    return {
        "name": name,
        "mode": target.mode,
        "environment": target.environment or "none named: counts as production",
        "connections": [
            {
                "name": way,
                "what": what,
                "configured": target.dsn_file(way) is not None,
                "seen": _seen(access.get(way)),
            }
            for way, what in WAYS.items()
        ],
    }


def _seen(row: Row | None) -> dict[str, Any] | None:
    """None: no process of ours has looked."""
    if row is None:
        return None
    detail = row["detail"]
    hidden = [f"{one['what']}: {one['why']}" for one in detail.get("not_visible", ())]
    version = detail.get("server_version_num")
    words = (
        f"PostgreSQL {version // 10000}.{version % 10000}, {detail['database']}" if version else detail.get("why", "")
    )
    return {"ok": row["ok"], "words": words, "hidden": hidden, "age_s": row["age_s"], "stale": row["age_s"] > STALE_S}
