from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent.learning.catalogue import CATALOGUE
from lab.learn.decisions import decide, revert, waiting
from lab.learn.deployment import changes
from lab.learn.journal import Journal, UnusableInput
from tests.lab.learn.scripted import Judge, does_nothing, loop, priors, run, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOW = datetime.now(UTC)
PROSE = {"find": "# shop-slow", "replace": "# The shop is slow"}


def prose_first(request: Mapping[str, Any]) -> dict[str, Any]:
    return suggestion(request["tree"], "edit_prose", PROSE) if request["round"] == 1 else priors(request)


def test_an_approved_edit_becomes_the_champion_and_the_run_goes_on(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, suggest=prose_first)
    with Journal(tmp_path).locked() as journal:
        decide(journal, first["edit_id"][:12], "approved", person="Ana", reason="", now=NOW)
        assert journal.state().champion == first["child"]
        assert list(loop(journal, suggest=prose_first).run(2))[-1]["parent"] == first["child"]


def test_a_rejected_edit_is_gone_and_cannot_be_approved_later(tmp_path: Path) -> None:
    start, first = run(tmp_path, 1, suggest=prose_first)
    with Journal(tmp_path).locked() as journal:
        decide(journal, first["edit_id"], "rejected", person="Ana", reason="no", now=NOW)
        assert journal.state().champion == start["tree"]
        with pytest.raises(UnusableInput, match="names 0 edits"):
            decide(journal, first["edit_id"], "approved", person="Ana", reason="", now=NOW)


def test_an_edit_whose_champion_is_gone_is_stale(tmp_path: Path) -> None:
    _, first, second = run(tmp_path, 2, suggest=prose_first)
    assert second["status"] == "keep"
    with Journal(tmp_path).locked() as journal:
        assert "stale" in waiting(journal, NOW)[0].why_not
        with pytest.raises(UnusableInput, match="stale"):
            decide(journal, first["edit_id"], "approved", person="Ana", reason="", now=NOW)


def test_a_decision_lapses_after_a_fortnight(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, suggest=prose_first)
    with Journal(tmp_path).locked() as journal, pytest.raises(UnusableInput, match="expired"):
        decide(journal, first["edit_id"], "approved", person="Ana", reason="", now=NOW + timedelta(days=15))


@pytest.mark.parametrize("person", ["", "x" * 500, "A\x1b[31mna"])
def test_a_decision_belongs_to_a_person_with_a_name(tmp_path: Path, person: str) -> None:
    _, first = run(tmp_path, 1, suggest=prose_first)
    with Journal(tmp_path).locked() as journal, pytest.raises(UnusableInput, match="who decides"):
        decide(journal, first["edit_id"], "approved", person=person, reason="", now=NOW)


def test_without_its_page_an_edit_cannot_be_approved(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, suggest=prose_first)
    os.unlink(tmp_path / f"reviews/{first['edit_id']}.md")  # noqa: PTH108 as somebody else would
    with Journal(tmp_path).locked() as journal, pytest.raises(UnusableInput, match="gone"):
        decide(journal, first["edit_id"], "approved", person="Ana", reason="", now=NOW)


def test_taking_the_last_edit_back_gives_the_very_bytes_from_before(tmp_path: Path) -> None:
    start, first = run(tmp_path, 1)
    with Journal(tmp_path).locked() as journal:
        revert(journal, first["edit_id"][:10], catalogue=CATALOGUE)
        assert journal.state().champion == start["tree"]
        assert journal.tree(journal.state().champion) == journal.tree(start["tree"])
        assert journal.state().kept == ()


def test_taking_an_earlier_edit_back_keeps_the_later_ones(tmp_path: Path) -> None:
    def two(request: Mapping[str, Any]) -> dict[str, Any]:
        if request["round"] == 1:
            return suggestion(request["tree"], "set_stop", {"field": "margin", "value": 0.2})
        return priors(request)

    _, first, second = run(tmp_path, 2, suggest=two)
    with Journal(tmp_path).locked() as journal:
        revert(journal, first["edit_id"], catalogue=CATALOGUE)
        text = journal.tree(journal.state().champion)["shop-slow/references/diagnosis.yaml"]
        assert "margin: 0.3" in text
        assert "prior: 0.07" in text
        assert [one.edit_id for one in journal.state().kept] == [second["edit_id"]]


def test_an_edit_that_a_later_one_was_built_on_cannot_be_taken_back_alone(tmp_path: Path) -> None:
    cause = {"cause": "cpu_saturation", "prior": 0.1, "component": "ranked", "links": {"error_rate_rose": "weak"}}

    def built_on(request: Mapping[str, Any]) -> dict[str, Any]:
        if request["round"] == 1:
            return suggestion(request["tree"], "add_cause", cause)
        return suggestion(request["tree"], "set_prior", {"cause": "cpu_saturation", "prior": 0.2})

    _, first, second = run(tmp_path, 2, suggest=built_on)
    with Journal(tmp_path).locked() as journal:
        before = journal.state().champion
        with pytest.raises(UnusableInput, match=second["edit_id"][:12]):
            revert(journal, first["edit_id"], catalogue=CATALOGUE)
        assert journal.state().champion == before


def test_only_what_a_strict_test_confirmed_can_be_deployed(tmp_path: Path) -> None:
    run(tmp_path, 3)
    with Journal(tmp_path).locked() as journal:
        assert changes(journal) == ()
    run(tmp_path, 10)
    with Journal(tmp_path).locked() as journal:
        assert [one.name for one in changes(journal)] == ["shop-slow"]


def test_nothing_kept_is_nothing_to_deploy(tmp_path: Path) -> None:
    run(tmp_path, 10, judge=Judge(does_nothing))
    with Journal(tmp_path).locked() as journal:
        assert changes(journal) == ()
