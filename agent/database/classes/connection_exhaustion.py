"""Nearly every connection is taken: by a pool that leaks, or by work that does not get done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, Rows, hidden, settings
from agent.database.sessions import SIGNAL_PRIVILEGE, is_client, terminate
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.finding import ProposedAction

NAME = "connection_exhaustion"
CRITICAL_SHARE = 0.97
LEAKING = 2.0
"""So many idle connections for each that works are a pool that holds more than it uses."""
ENDED_AT_ONCE = 20
"""Sessions proposed to be ended, the longest idle first; more would be a kill by pattern."""
_HIDDEN = (
    "Whether a pool leaks or the work piles up is not visible to this role: look again as a member of pg_monitor before"
    " anything is ended."
)
_REFUSED = ("too many clients already", "remaining connection slots are reserved", "too many connections for")


def judge(readings: Readings) -> Judgement:
    sessions, known = readings.rows("sessions"), readings.rows("settings")
    if isinstance(sessions, NotVisible):
        return (sessions,)
    if isinstance(known, NotVisible):
        return (known,)
    clients = tuple(row for row in sessions if is_client(row))
    usable = _usable(settings(known))
    if not usable or len(clients) < readings.limits.connections_share * usable:
        return ()
    unseen = hidden(clients)
    found = _finding(clients, usable)
    return (found, unseen) if unseen else (found,)


def refused(why: str) -> Finding | None:
    """The finding where the server refused even our connection because of too many; None where it said otherwise."""
    if not any(part in why for part in _REFUSED):
        return None
    return Finding(
        incident_class=NAME,
        severity="critical",
        title="The server takes no more connections",
        evidence=(f"It refused this diagnosis itself: {shown(why, 160)}",),
        action=None,
        advice=(
            "Diagnose again as a superuser, for whom superuser_reserved_connections are kept, or from 16 on as a member"
            " of pg_use_reserved_connections: that shows whose sessions are idle, and how to end them. A restart of the"
            " application's pool frees its connections, too."
        ),
        ruled_out=("Not a server that is down or a wrong password: it answered, and said why",),
        verification="Used connections fall below 80 % of those usable.",
        rollback="",
        privilege=SIGNAL_PRIVILEGE,
        diagram="",
        data={"refused": True},
    )


def _usable(known: Mapping[str, str]) -> int:
    """max_connections without those kept for superusers and, from 16 on, for pg_use_reserved_connections."""
    kept = int(known.get("superuser_reserved_connections", 0)) + int(known.get("reserved_connections", 0))
    return int(known.get("max_connections", 0)) - kept


def _finding(clients: Rows, usable: int) -> Finding:
    states = Counter(row["state"] for row in clients)
    idle = [row for row in clients if row["state"] == "idle"]
    leak = not states["hidden"] and len(idle) >= LEAKING * max(1, states["active"])
    guilty, held = Counter(_owner(row) for row in idle).most_common(1)[0] if idle else (("", ""), 0)
    ended = _longest_idle(idle, guilty) if leak else ()
    share = len(clients) / usable
    whose = f"{shown(guilty[1], 63) or 'no application name'} of role {shown(guilty[0], 63)}"
    return Finding(
        incident_class=NAME,
        severity="critical" if share >= CRITICAL_SHARE else "warning",
        title=f"{len(clients)} of {usable} connections are taken, {len(idle)} of them idle",
        evidence=(
            f"By state: {_counts(states)}",
            f"By application: {_counts(Counter(row['application'] for row in clients))}",
            f"By client address: {_counts(Counter(row['client'] or 'local' for row in clients))}",
            *((f"{whose} holds {held} idle connections",) if leak else ()),
        ),
        action=ended[0] if ended else None,
        advice=_advice(leak, whose) if not states["hidden"] else _HIDDEN,
        ruled_out=_ruled_out(leak, len(idle), states["active"]) if not states["hidden"] else (),
        verification="Used connections fall below 80 % of those usable.",
        rollback="",
        privilege=SIGNAL_PRIVILEGE,
        diagram="",
        data={"used": len(clients), "usable": usable, "by_state": dict(states), "leak": leak, "application": guilty[1]},
        further_actions=ended[1:],
    )


def _owner(row: Row) -> tuple[str, str]:
    return row["user"], row["application"]


def _longest_idle(idle: list[Row], guilty: tuple[str, str]) -> tuple[ProposedAction, ...]:
    of_guilty = sorted(
        (row for row in idle if _owner(row) == guilty), key=lambda row: row["state_age_s"] or 0.0, reverse=True
    )
    actions = (terminate(row) for row in of_guilty[:ENDED_AT_ONCE])
    return tuple(action for action in actions if action is not None)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {shown(name, 40) or '-'}" for name, count in counter.most_common(6))


def _advice(leak: bool, whose: str) -> str:
    if leak:
        return (
            f"Idle connections of {whose} can be ended without losing work; its pool opens new ones. Then bound it: a"
            " smaller pool, ALTER ROLE … CONNECTION LIMIT, idle_session_timeout for the role (14 and later). Raising"
            " max_connections needs a restart and makes every snapshot dearer."
        )
    return (
        "The connections are at work or waiting: look at the other findings for what holds them up (a blocker, a slow"
        " query). Ending them loses work and their clients come back at once."
    )


def _ruled_out(leak: bool, idle: int, active: int) -> tuple[str, ...]:
    if leak:
        return (f"Not slow queries that pile up: {idle} connections are idle and {active} active",)
    return (f"Not a pool that leaks: {idle} connections are idle and {active} active",)


CLASS = IncidentClass(NAME, "nearly all connections are taken", ("sessions", "settings"), judge)
