"""What a paging system should show of an incident: pure, from the incident's state alone.

It is computed again at every look, so nothing has to be remembered and a missed update costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from agent.incident import IncidentState, Outcome

if TYPE_CHECKING:
    from agent.incident import Incident

Standing = Literal["untouched", "acknowledged", "handed_back", "resolved"]
"""untouched: as it is. acknowledged: somebody works on it. handed_back: as if nobody had taken it, so that a human is
called. resolved: verified to be over.
"""

MAX_WHY_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """notes: each once, in this order. resolution: why it is over, empty when it is not."""

    standing: Standing
    notes: tuple[str, ...]
    resolution: str


def wish(incident: Incident, link: str) -> Wish:
    """link: the page of the incident."""
    cause = _cause(incident, link)
    why = _plain(incident.working.why) or "see the page"
    match incident.state:
        case IncidentState.RECEIVED:
            return Wish("untouched", (), "")
        case (
            IncidentState.INVESTIGATING
            | IncidentState.AWAITING_APPROVAL
            | IncidentState.EXECUTING
            | IncidentState.VERIFYING
        ):
            return Wish("acknowledged", cause, "")
        case IncidentState.NEEDS_HUMAN:
            return Wish("handed_back", (*cause, _note(incident, f"needs a human: {why}", link)), "")
        case IncidentState.RESOLVED:
            return _over(incident, cause, link)
        case IncidentState.SELF_RESOLVED:
            return Wish("untouched", (*cause, _ended_by_itself(incident, link)), "")
        case IncidentState.CLOSED:
            match incident.outcome:
                case Outcome.RECOVERED:
                    return _over(incident, cause, link)
                case Outcome.SELF_RESOLVED:
                    return Wish("untouched", (*cause, _ended_by_itself(incident, link)), "")
                case _:
                    outcome = (incident.outcome or Outcome.NO_ACTION).replace("_", " ")
                    return Wish("untouched", (*cause, _note(incident, f"closed, {outcome}", link)), "")
        case _:
            assert_never(incident.state)


def _over(incident: Incident, cause: tuple[str, ...], link: str) -> Wish:
    resolution = _note(incident, "fixed, and verified on the alert's own expression", link)
    return Wish("resolved", (*cause, resolution), resolution)


def _ended_by_itself(incident: Incident, link: str) -> str:
    return _note(incident, "the alert ended by itself; nothing was verified, so this is left to you", link)


def _cause(incident: Incident, link: str) -> tuple[str, ...]:
    found = incident.working.conclusion
    if found is None:
        return ()
    return (_note(incident, f"cause: {_plain(found.title)} ({found.probability:.2f} sure)", link),)


def _note(incident: Incident, text: str, link: str) -> str:
    return f"Stanch {incident.key}: {text}\n{link}"


def _plain(text: str) -> str:
    """One line without control or direction marks: some of it came from outside."""
    kept = "".join(" " if char in "\r\n\t" else char for char in text if char.isprintable() or char in "\r\n\t")
    return kept if len(kept) <= MAX_WHY_CHARS else kept[:MAX_WHY_CHARS] + "… (cut)"
