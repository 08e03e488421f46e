"""The two points in time that people know better than the record: when the impact began, and when it was over."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.incident import OPEN_STATES, Milestone
from agent.machine import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.incident import Incident
    from connectors.store.store import Row, Transaction

ACTION = "MilestoneCorrected"
WORDS: Mapping[Milestone, str] = {Milestone.IMPACT_START: "Impact began", Milestone.RESTORED: "Restored"}
"""What may be corrected. The rest is what Stanch itself did, and when."""
EARLIEST = timedelta(days=30)
"""Before the first alert. A longer silent impact is no slip of the record."""
_AT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)Z?")


class NotThen(ValueError):
    """The time cannot be right; the message says why."""


def moment(text: str) -> datetime:
    """UTC, as a form's datetime-local sends it, with or without seconds. Raises NotThen."""
    found = _AT.fullmatch(text.strip())
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC) if found else _unreadable()
    except ValueError:
        return _unreadable()


def _unreadable() -> datetime:
    raise NotThen("Give the time in UTC, as in 2026-11-22 03:27:34.")


def correct(
    tx: Transaction, incident: Incident, milestone: Milestone, at: datetime, *, person: str, reason: str
) -> bool:
    """Puts the time right and notes what it was. False: the incident changed meanwhile. Raises NotThen."""
    before = incident.milestones.get(milestone)
    after = {**incident.milestones, milestone: at}
    _check(incident, after, tx.now())
    corrected = Decision(replace(incident, milestones=after), (), "")
    if not tx.save(incident, corrected, actor=person, action=ACTION):
        return False
    was = f"from {before:%Y-%m-%d %H:%M:%S}" if before else "which nobody saw,"
    note = f"{WORDS[milestone].lower()}: corrected {was} to {at:%Y-%m-%d %H:%M:%S} UTC: {reason}"
    data = {"note": note, "milestone": str(milestone), "was": before.isoformat() if before else None,
            "is": at.isoformat(), "reason": reason}  # fmt: skip
    tx.audit(incident.id, person, ACTION, data)
    return True


def _check(incident: Incident, after: Mapping[Milestone, datetime], now: datetime) -> None:
    """Raises NotThen."""
    began, restored = after.get(Milestone.IMPACT_START), after.get(Milestone.RESTORED)
    detected = after.get(Milestone.DETECTED, incident.opened_at)
    if incident.state in OPEN_STATES:
        raise NotThen(f"{incident.key} is still open: its times are corrected once it is over.")
    if began is not None and began > detected:
        raise NotThen(f"The impact cannot begin after the first alert came, at {detected:%Y-%m-%d %H:%M:%S} UTC.")
    if began is not None and began < detected - EARLIEST:
        raise NotThen(f"That is more than {EARLIEST.days} days before the first alert.")
    if restored is not None and (restored > now or (began is not None and restored < began)):
        raise NotThen("It cannot be over before it began, nor later than now.")


def shown(incident: Incident, audit: Sequence[Row]) -> list[dict[str, Any]]:
    """Each with its time, None when there is none, and who corrected it last and why. audit: the incident's rows."""
    last = {row["data"].get("milestone"): row for row in audit if row["action"] == ACTION}
    rows = []
    for name, words in (*WORDS.items(), (Milestone.DETECTED, "First alert received")):
        at, by = incident.milestones.get(name), last.get(str(name))
        rows.append({
            "name": str(name), "words": words, "at": at.isoformat() if at else None, "may": name in WORDS,
            "by": None if by is None else {"person": by["actor"], "reason": by["data"]["reason"],
                                           "was": by["data"]["was"], "at": by["at"].isoformat()},
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["at"] or "9")
