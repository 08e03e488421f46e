"""What a person decides about a run: an edit that waited is approved or rejected, a kept one is taken back.

Each decision is a line of the ledger. A decision is about exact bytes: it names the edit by its content, and it lapses
when the champion it was made for is gone or when it is too old.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.learning.apply import StaleEdit, apply, paths_of
from agent.learning.edits import Edit, UnusableEdit
from agent.learning.static_checks import check
from agent.learning.tree import Reader, hash_of
from agent.runbook.skill import UnusableSkill
from lab.learn.journal import Journal, UnusableInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agent.learning.ledger import Kept, Row, State
    from agent.learning.tree import Tree

REVIEW_DAYS = 14
"""A decision about what was measured longer ago is about another system."""
PERSON_CHARS = 128


@dataclass(frozen=True, slots=True)
class Waiting:
    """An edit that waits for a human. why_not: why it can no longer be approved; empty: it can."""

    edit_id: str
    row: Row
    why_not: str


def waiting(journal: Journal, now: datetime) -> tuple[Waiting, ...]:
    state = journal.state()
    return tuple(
        Waiting(edit_id, row, _lapsed(journal, state, edit_id, row, now)) for edit_id, row in state.reviews.items()
    )


def _lapsed(journal: Journal, state: State, edit_id: str, row: Row, now: datetime) -> str:
    if row["parent"] != state.champion:
        return "stale: the champion it was measured against is another by now"
    page = journal.folder / "reviews" / f"{edit_id}.md"
    if not page.exists():
        return f"the bytes to be read are gone: {page.name}"
    if now - datetime.fromtimestamp(page.stat().st_mtime, UTC) > timedelta(days=REVIEW_DAYS):
        return f"expired: it waited for more than {REVIEW_DAYS} days"
    return ""


def decide(journal: Journal, edit_id: str, decision: str, *, person: str, reason: str, now: datetime) -> Row:
    """decision: approved or rejected. Raises UnusableInput."""
    found = [one for one in waiting(journal, now) if one.edit_id.startswith(edit_id)]
    if len(found) != 1 or not edit_id:
        raise UnusableInput(
            f"{edit_id or 'nothing'} names {len(found)} edits that wait for review; see stanch learn review"
        )
    one = found[0]
    if decision == "approved" and one.why_not:
        raise UnusableInput(f"edit {one.edit_id[:12]} cannot be approved: {one.why_not}")
    if not person or len(person) > PERSON_CHARS or not person.isprintable():
        raise UnusableInput("say who decides: --person NAME")
    if Edit.from_data(one.row["edit"]).id != one.edit_id:
        raise UnusableInput(f"edit {one.edit_id[:12]} is not what was shown for review")
    return journal.append(
        {
            "kind": "review",
            "edit_id": one.edit_id,
            "decision": decision,
            "person": person,
            "reason": reason[:1000],
            "at": now.astimezone(UTC).isoformat(timespec="seconds"),
        }
    )


def revert(journal: Journal, edit_id: str, *, catalogue: Collection[str]) -> Row:
    """Takes one kept edit back: what was kept after it is done again without it, or nothing changes.

    Raises UnusableInput when a later edit cannot be done without this one, or what would come out is no usable skill.
    """
    state = journal.state()
    places = [place for place, one in enumerate(state.kept) if edit_id and one.edit_id.startswith(edit_id)]
    if len(places) != 1:
        raise UnusableInput(f"{edit_id or 'nothing'} names {len(places)} kept edits; see stanch learn history")
    gone, later = state.kept[places[0]], state.kept[places[0] + 1 :]
    after = journal.put(without(journal, state.kept, places[0], catalogue=catalogue))
    confirmed = state.confirmed if _was_confirmed_before(state, places[0]) else after
    return journal.append(
        {
            "kind": "revert",
            "edit_id": gone.edit_id,
            "before": state.champion,
            "after": after,
            "confirmed": confirmed,
            "redone": [one.edit_id for one in later],
        }
    )


def without(journal: Journal, kept: Sequence[Kept], place: int, *, catalogue: Collection[str]) -> Tree:
    """The skills as if one of the kept edits had never been: those after it done again. Raises UnusableInput."""
    gone, tree = kept[place], journal.tree(kept[place].before)
    for one in kept[place + 1 :]:
        tree = _again(Edit.from_data(one.edit), tree, gone.edit_id, catalogue)
    return tree


def _again(edit: Edit, tree: Mapping[str, str], gone: str, catalogue: Collection[str]) -> dict[str, str]:
    try:
        rebased = replace(edit, before=hash_of(tree, paths_of(edit.op, edit.skill, tree)))
        after = apply(rebased, tree)
        checked = check(rebased, tree, after, reader=Reader(), catalogue=catalogue)
    except (UnusableEdit, UnusableSkill) as wrong:
        raise UnusableInput(
            f"edit {gone[:12]} cannot be taken back alone: {edit.op} on {edit.skill} ({edit.id[:12]}) was built on it "
            f"({wrong}); revert that one first"
        ) from wrong
    if checked.problems:
        raise UnusableInput(f"edit {gone[:12]} cannot be taken back alone: {'; '.join(checked.problems)}")
    return after


def _was_confirmed_before(state: State, place: int) -> bool:
    """Whether the confirmed candidate is from before the edit, so that it stays what it is."""
    return state.confirmed in {one.before for one in state.kept[: place + 1]}


def as_history(row: Row) -> dict[str, Any]:
    """A ledger row in the few words of a list."""
    edit = row.get("edit") or {}
    return {
        "n": row["n"],
        "kind": row["kind"],
        "round": row.get("round"),
        "status": row.get("status") or row.get("decision"),
        "op": edit.get("op"),
        "skill": edit.get("skill"),
        "edit_id": row.get("edit_id"),
        "pairs": row.get("pairs"),
        "e_value": row.get("e_value"),
        "mean": row.get("mean"),
        "why": row.get("why") or row.get("reason"),
    }


__all__ = ["StaleEdit", "Waiting", "as_history", "decide", "revert", "waiting", "without"]
