"""What an approver asks, in the order they ask it. Every fact comes from the system, none from a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.incident import ApprovalState
from guardrails.policy import PRODUCTION
from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from service.pages.sentence import amount_of
from service.pages.text import hides, number, shown, size, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from service.identity import Person

CHANNEL = "dashboard"
WAITING = frozenset({ApprovalState.PENDING, ApprovalState.PARTIALLY_APPROVED})
_MODES = {mode.spelling: mode for mode in Mode}


@dataclass(frozen=True, slots=True)
class Fact:
    """code stands before the text in a fixed-width face, whole; empty: not there. copies: what a copy of it is called;
    empty: nobody needs one.
    """

    label: str
    text: str
    code: str = ""
    copies: str = ""

    @property
    def exact(self) -> bool:
        """Whether what is shown is, byte for byte, what there is."""
        return not hides(self.code)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is to a proposal: all that the card says differently to different people."""

    may: bool = False
    decided: bool = False
    barred: str = ""


def standing(proposal: Mapping[str, Any] | None, person: Person) -> Standing:
    if proposal is None:
        return Standing()
    decisions = proposal["approval"]["decisions"] if proposal["approval"] else ()
    return Standing(
        may=person.name in proposal["approvers"],
        decided=any(one["person"] == person.name for one in decisions),
        barred=barred(proposal, person),
    )


def card(
    whole: Mapping[str, Any], advice: Mapping[str, Any], by: Standing, paused: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The decision card. advice: what the check that gave the parameters measured. None: nothing is proposed."""
    proposal = whole["proposal"]
    if proposal is None:
        return None
    approval = proposal["approval"]
    waits = approval is not None and approval["state"] in WAITING
    return {
        "proposal": proposal,
        "approval": approval,
        "waits": waits,
        "may": by.may,
        "decided": by.decided,
        "barred": by.barred,
        "paused": paused,
        "facts": facts(proposal, advice),
        "findings": [one for one in proposal["findings"] if one["level"] != "refuse"],
        "hides": hides(proposal["command"]) or hides(proposal["rollback"]),
        # While this stays the same the card stays as it is under the reader's hands.
        "key": f"{proposal['digest']} {approval['state'] if approval else 'none'} "
        f"{len(approval['decisions']) if approval else 0} {waits and not by.decided} {paused is not None}",
    }


def barred(proposal: Mapping[str, Any], person: Person) -> str:
    """Why somebody on the list may deny here and not approve; empty when they may. The server asks again on approval.

    Whether an editor may approve their own edit where nothing is at stake is the policy's to say, not the page's.
    """
    if CHANNEL not in proposal["channels"]:
        where = ", ".join(proposal["channels"]) or "nowhere"
        return f"The policy takes an approval of {proposal['risk']} risk through {where}, not on this page."
    if proposal["proposed_by"] == person.name and (proposal["environment"] or PRODUCTION) == PRODUCTION:
        return "You edited this fix, so somebody else has to approve it."
    return ""


def facts(proposal: Mapping[str, Any], advice: Mapping[str, Any]) -> tuple[Fact, ...]:
    world = proposal["facts"]
    return (
        _runs_on(proposal),
        *_locks(proposal["locks"]),
        _expected(advice),
        _cost(proposal, world, advice),
        _in_the_way(proposal, world),
        _way_back(proposal),
        _recovered(proposal["verification"]),
    )


def _runs_on(proposal: Mapping[str, Any]) -> Fact:
    identity = proposal["identity"]
    where = proposal["environment"] or "no environment named: counts as production"
    database, server = identity.get("database", "not known"), identity.get("system_identifier", "not known")
    return Fact(
        "Runs on", f"{shown(proposal['target'])} ({shown(where)}), database {shown(database)}, server {shown(server)}"
    )


def _locks(locks: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    """One line a mode, the relations it is taken on behind it."""
    for spelling in dict.fromkeys(lock["mode"] for lock in locks):
        relations = [lock["relation"] for lock in locks if lock["mode"] == spelling]
        named = [shown(name) for name in relations if name != UNKNOWN_RELATIONS]
        if UNKNOWN_RELATIONS in relations:
            named.append("at most on relations that only the catalog knows")
        yield Fact("Lock", f"on {' and '.join(named)}. {lock_words(spelling)}", spelling)


def lock_words(spelling: str) -> str:
    """What goes on and what waits while the lock is held. A mode we do not know counts as the strongest."""
    mode = _MODES.get(spelling, Mode.ACCESS_EXCLUSIVE)
    if mode.blocks_reads:
        return "Reads and writes wait."
    if mode.blocks_writes:
        return "Reads go on; inserts, updates and deletes wait."
    if mode >= Mode.SHARE_UPDATE_EXCLUSIVE:
        return "Reads and writes go on; schema changes, vacuum and another build wait."
    return "Reads and writes go on."


def _expected(advice: Mapping[str, Any]) -> Fact:
    before, after = advice.get("cost_before"), advice.get("cost_after")
    if before is None or after is None:
        return Fact("Expect", "how much it helps was not estimated")
    how = (
        "the planner's own estimate, with a pretended index on the target (HypoPG)"
        if advice.get("validated")
        else "an estimate from statistics that the target's planner was not asked for"
    )
    return Fact("Expect", f"plan cost {number(before)} to {number(after)}, {how}; not a measured time")


def _cost(proposal: Mapping[str, Any], world: Mapping[str, Any], advice: Mapping[str, Any]) -> Fact:
    params = proposal["params"]
    table = next(
        (
            one
            for one in world.get("catalog", ())
            if (one["schema"], one["name"]) == (params.get("schema"), params.get("table"))
        ),
        None,
    )
    new, free = advice.get("estimated_bytes"), world.get("free_disk_bytes")
    disk = "size of the result not known" if new is None else f"about {size(new)} of disk"
    room = "free disk not visible" if free is None else f"{size(free)} free"
    read = "" if table is None else f"; reads all of {shown(params['table'])} ({amount_of(table)})"
    return Fact("Costs", f"{disk}, {room}{read}")


def _in_the_way(proposal: Mapping[str, Any], world: Mapping[str, Any]) -> Fact:
    """What the build would wait for, as it was when the fix was proposed."""
    params = proposal["params"]
    ages = [one["age_s"] for one in world.get("transactions", ())]
    running = [
        f"process {one['pid']} ({shown(one['what'])})"
        for one in world.get("running", ())
        if (one["schema"], one["table"]) == (params.get("schema"), params.get("table"))
    ]
    oldest = f"oldest transaction {span(max(ages))}" if ages else "no open transaction"
    hidden = [shown(one["what"]) for one in world.get("not_visible", ())]
    said = f"{', '.join(running)}; {oldest}" if running else f"{oldest}, no other build on this table"
    return Fact("In the way", said + (f"; not visible: {', '.join(hidden)}" if hidden else ""))


def _way_back(proposal: Mapping[str, Any]) -> Fact:
    if not proposal["rollback"]:
        return Fact("Way back", "there is none")
    by_itself = (
        "by itself if the signal gets worse" if proposal["verification"]["rollback_on_regression"] else "by hand"
    )
    return Fact("Way back", f"({by_itself})", proposal["rollback"], "the way back")


def _recovered(rule: Mapping[str, Any]) -> Fact:
    if rule["expr"] is None:
        return Fact("Counts as recovered", "cannot be told: the alert's expression is not known")
    return Fact(
        "Counts as recovered",
        f"stays false for {span(rule['window_s'])}, within {span(rule['deadline_s'])} after the run",
        rule["expr"],
        "the alert's expression",
    )


def difference(sent: Mapping[str, str], current: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """(what, as it was on the page, as it is now) for a decision that came too late."""
    rows = [("state", "waiting for a decision", str(current.get("state", "not known")).replace("_", " "))]
    rows += [
        (name, sent[name], str(current[name]))
        for name in ("revision", "digest")
        if name in current and str(current[name]) != sent[name]
    ]
    return rows
