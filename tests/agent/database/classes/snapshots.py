"""Recorded readings of a target, to be changed by a test: what the catalog of a server in that trouble shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database.classes import CLASSES
from agent.database.finding import Finding
from agent.database.limits import Limits
from agent.database.readings import READINGS, Readings
from agent.database.snapshot import NotVisible

if TYPE_CHECKING:
    from agent.database.readings import Row, Rows

HIDDEN = NotVisible("it", "permission denied", "GRANT pg_monitor TO <diagnose role>")
STARTED = "2026-11-22T00:00:00+00:00"
SETTINGS = {
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "max_wal_size": "1024",
    "checkpoint_timeout": "300",
    "checkpoint_completion_target": "0.9",
    "autovacuum": "on",
    "autovacuum_max_workers": "3",
    "autovacuum_freeze_max_age": "200000000",
    "shared_buffers": "16384",
}


def session(pid: int, **changes: Any) -> Row:
    """An idle session of the shop; waiting when blocked_by is given."""
    waits = bool(changes.get("blocked_by"))
    row: dict[str, Any] = {
        "pid": pid,
        "database": "shop",
        "user": "shop_app",
        "application": "web",
        "client": "10.0.0.7",
        "backend_type": "client backend",
        "state": "active" if waits else "idle",
        "wait_event_type": "Lock" if waits else None,
        "wait_event": "transactionid" if waits else None,
        "xact_age_s": 5.0 if waits else None,
        "query_age_s": 5.0,
        "state_age_s": 5.0,
        "backend_xmin_age": None,
        "backend_xid_age": None,
        "backend_start": STARTED,
        "query": "UPDATE stock SET amount = amount - 1 WHERE id = 7",
        "blocked_by": [],
        "waiting_s": 5.0 if waits else None,
        "waits_for": "transactionid" if waits else None,
        "wanted_mode": "ShareLock" if waits else None,
        "wanted_relation": None,
        "waits_for_strong_lock": False,
        "visible": True,
    }
    return row | changes


def hidden_session(pid: int, **changes: Any) -> Row:
    """What a role without pg_monitor is shown of another's session: an xact_age_s of None means nothing here."""
    unseen = {"state": "hidden", "query": "<insufficient privilege>", "backend_start": None, "visible": False}
    ages: dict[str, Any] = {"query_age_s": None, "state_age_s": None, "xact_age_s": None}
    return session(pid, **{**unseen, **ages, **changes})


def waits_for_table(pid: int, blocked_by: list[int], mode: str = "AccessShareLock", **changes: Any) -> Row:
    strong = mode in {"AccessExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock"}
    wanted = {"waits_for": "relation", "wanted_mode": mode, "wanted_relation": "public.stock"}
    return session(pid, blocked_by=blocked_by, waits_for_strong_lock=strong, **{**wanted, **changes})


def settings(**changes: str) -> Rows:
    return tuple({"name": name, "value": value} for name, value in (SETTINGS | changes).items())


def readings(
    *,
    before: dict[str, Rows | NotVisible] | None = None,
    window_s: float = 30.0,
    in_recovery: bool = False,
    limits: Limits | None = None,
    **now: Rows | NotVisible,
) -> Readings:
    """Nothing is wrong in any reading that is not given; counters start at before, else where they are."""
    taken: dict[str, Rows | NotVisible] = dict.fromkeys(READINGS, ())
    taken |= {"settings": settings(), **now}
    start = {name: taken[name] for name in READINGS if READINGS[name].twice} | (before or {})
    return Readings(
        server_version_num=150_018,
        database="shop",
        in_recovery=in_recovery,
        window_s=window_s,
        now=taken,
        before=start,
        limits=limits or Limits(),
    )


def findings(name: str, given: Readings) -> list[Finding]:
    return [answer for answer in CLASSES[name].judge(given) if isinstance(answer, Finding)]


def unseen(name: str, given: Readings) -> list[NotVisible]:
    return [answer for answer in CLASSES[name].judge(given) if isinstance(answer, NotVisible)]


def named(given: Readings) -> set[str]:
    """All classes that find something."""
    return {name for name in CLASSES if findings(name, given)}
