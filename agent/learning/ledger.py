"""The record of every try: one JSON line each, chained by hashes, and what a run's state is according to it.

No clock stands in it, so the same seed on the same data writes the same bytes. A line counts from the moment its
newline is there; what a run knows is what its lines say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent.learning.bandit import Record
from agent.learning.gate import Status
from guardrails.canonical import UnusableDocument, canonical, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GENESIS = "0" * 64
PROMISING = 2.0
"""The e-value from which an undecided edit may be tried again at once: a new test, with a new alpha."""
Row = dict[str, Any]


class BrokenLedger(ValueError):
    """A line that does not follow from those before it: nothing after it is believed, and nothing is added to it."""


def sealed(prev: str, number: int, body: Mapping[str, Any]) -> Row:
    """The row as it is written. prev: the hash of the row before, GENESIS for the first, which has number 0."""
    row = {**body, "n": number, "prev": prev}
    return {**row, "hash": digest(row)}


def line(row: Row) -> bytes:
    return canonical(row) + b"\n"


def read(content: bytes) -> tuple[Row, ...]:
    """Every row of a ledger. A last line without its newline was never written: it is left out.

    Raises BrokenLedger, naming the line.
    """
    rows: list[Row] = []
    prev = GENESIS
    for number, text in enumerate(content.split(b"\n")[:-1]):
        try:
            row = json.loads(text)
            told = row.pop("hash")
            holds = row["prev"] == prev and row["n"] == number and digest(row) == told
            unchanged = line({**row, "hash": told}) == text + b"\n"
        except (ValueError, KeyError, TypeError, AttributeError, UnusableDocument, RecursionError):
            holds = unchanged = False
        if not (holds and unchanged):
            raise BrokenLedger(f"line {number + 1} is not what was written there, or a line before it is missing")
        rows.append({**row, "hash": told})
        prev = told
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Kept:
    """One edit that is part of the champion. before, after: candidates, by identity."""

    edit_id: str
    edit: Mapping[str, Any]
    before: str
    after: str
    mean: float


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands. profile: as it was started. champion: what the next edit is made on. confirmed: the last
    candidate that a strict test passed. tests: sequential tests so far. strict_tests, strict_passed: confirmations.
    quiet: confirmations in a row that were undecided. reviews: edits that wait for a human, by id. golden: train seeds
    that kept edits mended.
    """

    profile: str = "explore"
    rounds: int = 0
    champion: str = ""
    confirmed: str = ""
    kept: tuple[Kept, ...] = ()
    tests: int = 0
    keeps: int = 0
    strict_tests: int = 0
    strict_passed: int = 0
    quiet: int = 0
    record: Record = field(default_factory=Record)
    reviews: Mapping[str, Row] = field(default_factory=dict)
    golden: tuple[int, ...] = ()
    last: Row | None = None
    rows: int = 0

    @property
    def head(self) -> str:
        return str(self.last["hash"]) if self.last else GENESIS


def fold(rows: Iterable[Row]) -> State:
    """What the rows say, in order. Raises BrokenLedger for a kind of row that is none."""
    state = State()
    for row in rows:
        state = replace(_after(state, row), last=row, rows=state.rows + 1)
    return state


def _after(state: State, row: Row) -> State:
    match row["kind"]:
        case "start":
            return replace(state, champion=row["tree"], confirmed=row["tree"], profile=row["settings"]["profile"])
        case "round":
            return _after_round(state, row)
        case "confirm":
            return _after_confirmation(state, row)
        case "review":
            return _after_review(state, row)
        case "revert":
            kept = tuple(one for one in state.kept if one.edit_id != row["edit_id"])
            return replace(state, champion=row["after"], confirmed=row["confirmed"], kept=kept)
        case "deploy":
            return state
    raise BrokenLedger(f"line {state.rows + 1} is of a kind that is none")


def _after_round(state: State, row: Row) -> State:
    record = state.record.dropping((one["fingerprint"] for one in row["dropped"]), row["round"])
    after = replace(state, rounds=row["round"], tests=state.tests + bool(row["pairs"]), record=record)
    edit = row["edit"]
    if edit is None:
        return after
    kept = row["status"] == Status.KEEP
    waits = row["status"] == Status.AWAITING_REVIEW
    # Evidence that points the right way is worth another look at fresh incidents.
    promising = row["status"] == Status.INCONCLUSIVE and row["e_value"] >= PROMISING
    fingerprint = "" if promising else row["fingerprint"]
    record = record.after(edit["op"], row["failure"], fingerprint, row["round"], kept=kept or waits)
    after = replace(after, record=record)
    if waits:
        return replace(after, reviews={**state.reviews, row["edit_id"]: row})
    if not kept:
        return after
    after = _with_kept(after, row)
    return replace(after, confirmed=after.champion) if state.profile == "strict" else after


def _with_kept(state: State, row: Row) -> State:
    one = Kept(row["edit_id"], row["edit"], row["parent"], row["child"], row["mean"])
    golden = tuple(sorted({*state.golden, *row.get("golden", ())}))
    return replace(state, champion=row["child"], kept=(*state.kept, one), keeps=state.keeps + 1, golden=golden)


def _after_confirmation(state: State, row: Row) -> State:
    after = replace(state, strict_tests=state.strict_tests + 1)
    match row["status"]:
        case "confirmed":
            return replace(after, confirmed=state.champion, strict_passed=state.strict_passed + 1, quiet=0)
        case "rolled_back":
            safe = kept_in(state, state.confirmed)
            return replace(after, champion=state.confirmed, kept=safe, quiet=0, golden=())
        case _:
            return replace(after, quiet=state.quiet + 1)


def kept_in(state: State, candidate: str) -> tuple[Kept, ...]:
    """The edits that a confirmed candidate consists of."""
    for place, one in enumerate(state.kept):
        if one.before == candidate:
            return state.kept[:place]
    return state.kept


def _after_review(state: State, row: Row) -> State:
    waiting = {name: one for name, one in state.reviews.items() if name != row["edit_id"]}
    after = replace(state, reviews=waiting)
    if row["decision"] != "approved":
        return after
    approved = state.reviews[row["edit_id"]]
    kept = _with_kept(after, approved)
    return replace(kept, confirmed=kept.champion) if state.confirmed == approved["parent"] else kept
