from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.audit import GENESIS, AuditRow, Head, SealedRow, seal, verify_chain
from guardrails.canonical import UnusableDocument
from tests.guardrails.examples import NOW


def chain(length: int) -> list[SealedRow]:
    sealed: list[SealedRow] = []
    prev = GENESIS
    for seq in range(1, length + 1):
        row = AuditRow(seq, NOW + timedelta(seconds=seq), "ada", "approve", f"INC-{seq}", {"n": seq})
        sealed.append(SealedRow(row, prev, seal(prev, row)))
        prev = sealed[-1].hash
    return sealed


def head(rows: list[SealedRow]) -> Head:
    return Head(rows[-1].row.seq, rows[-1].hash)


def test_an_untouched_chain_is_intact() -> None:
    rows = chain(20)
    state = verify_chain(rows, head(rows))
    assert state.intact
    assert state.rows == 20
    assert state.head == head(rows)
    assert verify_chain([], None).intact


def test_rows_after_the_exported_head_are_normal() -> None:
    rows = chain(20)
    assert verify_chain(rows, head(rows[:15])).intact


def test_an_edited_row_is_named() -> None:
    rows = chain(20)
    rows[6] = replace(rows[6], row=replace(rows[6].row, actor="mallory"))
    state = verify_chain(rows, head(rows))
    assert state.problems == ("row 7 was edited: its content does not match its hash",)
    assert state.head == Head(6, rows[5].hash)


def test_a_row_edited_and_sealed_again_breaks_the_next_link() -> None:
    rows = chain(20)
    edited = replace(rows[6].row, data={"n": 8})
    rows[6] = SealedRow(edited, rows[6].prev, seal(rows[6].prev, edited))
    assert verify_chain(rows, None).problems == ("row 8 does not continue from the row before it",)


def test_a_deleted_row_and_swapped_rows_are_named() -> None:
    rows = chain(20)
    assert "row 8 follows row 6: 1 rows are missing" in verify_chain(rows[:6] + rows[7:], None).problems
    swapped = [*rows[:6], rows[7], rows[6], *rows[8:]]
    assert "row 7 comes after row 8: reordered" in verify_chain(swapped, None).problems


def test_a_cut_tail_shows_only_against_the_exported_head() -> None:
    rows = chain(20)
    assert verify_chain(rows[:12], None).intact
    assert verify_chain(rows[:12], head(rows)).problems == (
        "row 20 of the exported head is missing: the chain was cut",
    )
    assert not verify_chain([], head(rows)).intact


def test_a_chain_sealed_anew_as_a_whole_shows_against_the_exported_head() -> None:
    exported = head(chain(20))
    forged: list[SealedRow] = []
    prev = GENESIS
    for sealed in chain(20):
        row = replace(sealed.row, actor="mallory")
        forged.append(SealedRow(row, prev, seal(prev, row)))
        prev = forged[-1].hash
    assert verify_chain(forged, None).intact
    assert verify_chain(forged, exported).problems == (
        "row 20 is not the one whose hash was exported: the chain was sealed anew",
    )


def test_a_beginning_that_was_cut_off_shows() -> None:
    assert not verify_chain(chain(20)[5:], None).intact


def test_data_without_a_canonical_form_cannot_be_sealed() -> None:
    with pytest.raises(UnusableDocument):
        seal(GENESIS, AuditRow(1, NOW, "a", "b", None, {"n": float("nan")}))
