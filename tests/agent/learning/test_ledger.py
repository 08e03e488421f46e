from __future__ import annotations

from typing import Any

import pytest

from agent.learning.ledger import GENESIS, BrokenLedger, Row, fold, line, read, sealed

START = {"kind": "start", "tree": "t0", "hashes": {}, "settings": {"profile": "explore"}}


def round_row(number: int, status: str, *, parent: str, child: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "round", "round": number, "status": status, "parent": parent, "child": child, "pairs": 60,
        "edit": {"op": "set_prior"}, "edit_id": f"e{number}", "fingerprint": f"f{number}", "failure": "gave_up",
        "dropped": [], "e_value": 1.0, "mean": 0.1, "golden": [], **more,
    }  # fmt: skip


def ledger(*bodies: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for body in bodies:
        rows.append(sealed(rows[-1]["hash"] if rows else GENESIS, len(rows), body))
    return rows


def content(rows: list[Row]) -> bytes:
    return b"".join(line(row) for row in rows)


THREE = ledger(
    START,
    round_row(1, "keep", parent="t0", child="t1"),
    round_row(2, "inconclusive", parent="t1", child="t2"),
)


def test_what_was_written_is_what_is_read() -> None:
    assert list(read(content(THREE))) == THREE


@pytest.mark.parametrize("place", [5, 60, -3, 200])
def test_a_flipped_byte_anywhere_is_found(place: int) -> None:
    spoilt = bytearray(content(THREE))
    spoilt[place] ^= 1
    with pytest.raises(BrokenLedger, match="line"):
        read(bytes(spoilt))


def test_a_missing_a_swapped_and_a_repeated_line_are_found() -> None:
    for rows in ([THREE[0], THREE[2]], [THREE[0], THREE[2], THREE[1]], [*THREE, THREE[2]]):
        with pytest.raises(BrokenLedger):
            read(content(rows))


def test_a_line_that_a_kill_cut_in_half_was_never_written() -> None:
    assert list(read(content(THREE)[:-20])) == THREE[:2]
    assert read(b"") == ()


def test_only_a_keep_moves_the_champion() -> None:
    state = fold(THREE)
    assert (state.rounds, state.champion, state.confirmed) == (2, "t1", "t0")
    assert [one.edit_id for one in state.kept] == ["e1"]
    assert state.tests == 2


def test_a_failed_edit_is_not_tried_again_for_a_while_and_a_promising_one_is() -> None:
    assert "f2" in fold(THREE).record.barred(3)
    assert "f2" not in fold(THREE).record.barred(40)
    promising = ledger(START, round_row(1, "inconclusive", parent="t0", child="t1", e_value=8.0))
    assert "f1" not in fold(promising).record.barred(2)


def test_a_confirmation_fixes_the_champion_and_a_failed_one_takes_back_what_came_since() -> None:
    confirmed = {"kind": "confirm", "status": "confirmed"}
    rolled_back = {"kind": "confirm", "status": "rolled_back"}
    more = round_row(3, "keep", parent="t1", child="t3")
    state = fold(ledger(START, THREE[1] | {}, confirmed, more, rolled_back))
    assert (state.champion, state.confirmed) == ("t1", "t1")
    assert [one.edit_id for one in state.kept] == ["e1"]


def test_an_edit_that_waits_counts_only_when_a_human_approved_it() -> None:
    waits = ledger(START, round_row(1, "awaiting_review", parent="t0", child="t1"))
    assert fold(waits).champion == "t0"
    approved = ledger(START, round_row(1, "awaiting_review", parent="t0", child="t1"),
                      {"kind": "review", "edit_id": "e1", "decision": "approved"})  # fmt: skip
    assert fold(approved).champion == "t1"
    rejected = ledger(START, round_row(1, "awaiting_review", parent="t0", child="t1"),
                      {"kind": "review", "edit_id": "e1", "decision": "rejected"})  # fmt: skip
    assert fold(rejected).champion == "t0"
    assert not fold(rejected).reviews


def test_in_the_strict_profile_every_keep_is_confirmed() -> None:
    strict = {**START, "settings": {"profile": "strict"}}
    assert fold(ledger(strict, round_row(1, "keep", parent="t0", child="t1"))).confirmed == "t1"


def test_a_row_of_no_known_kind_is_refused() -> None:
    with pytest.raises(BrokenLedger):
        fold(ledger(START, {"kind": "gift"}))
