from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from agent.learning.ledger import fold
from lab.learn.journal import InUse, Journal, UnusableInput
from lab.learn.loop import FrozenChanged, Settings
from tests.lab.learn.scripted import Judge, contents, does_nothing, loop, priors, run, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Killed(BaseException):
    """As kill -9 would: nothing after it runs."""


def test_an_edit_that_helps_is_kept_and_the_next_round_builds_on_it(tmp_path: Path) -> None:
    _, first, second = run(tmp_path, 2)
    assert [first["status"], second["status"]] == ["keep", "keep"]
    assert second["parent"] == first["child"]


def test_an_edit_that_does_nothing_is_undecided_and_the_champion_stays(tmp_path: Path) -> None:
    start, first = run(tmp_path, 1, judge=Judge(does_nothing))
    assert first["status"] == "inconclusive"
    with Journal(tmp_path).locked() as journal:
        assert journal.state().champion == start["tree"]


def test_a_harmful_edit_is_reverted_early(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, judge=Judge(lambda _request, place: -0.4 if place % 2 else 0.0))
    assert first["status"] == "revert"
    assert first["pairs"] < 150
    assert "hurts" in first["why"]


@pytest.mark.parametrize("score", [math.nan, math.inf, 7.0, None])
def test_a_score_that_is_none_makes_the_edit_invalid(tmp_path: Path, score: float) -> None:
    _, first = run(tmp_path, 1, judge=Judge(lambda _request, place: score if place == 30 else 0.4))
    assert first["status"] == "invalid"


def test_an_edit_that_gains_by_trusting_the_alert_is_vetoed_in_the_anchor_stratum(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, judge=Judge(lost_anchors=5))
    assert first["status"] == "revert"
    assert "anchor-swap" in first["why"]


def test_strata_are_looked_at_even_when_the_average_is_sure_at_once(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1, judge=Judge(lambda _request, _place: 0.9))
    assert first["strata"]["all"]["n"] >= 240
    assert first["pairs"] < 60


def test_every_round_leaves_a_page_about_itself_the_reverted_ones_too(tmp_path: Path) -> None:
    run(tmp_path, 3, judge=Judge(does_nothing))
    for number in (1, 2, 3):
        page = (tmp_path / f"rounds/{number:04d}.md").read_text()
        assert "## Hypothesis" in page
        assert "Predicted utility +0.1000; measured +0.0000" in page
        assert "## Next" in page


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path / "once", 12)
    run(tmp_path / "again", 12)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")
    assert len([name for name in contents(tmp_path / "once") if name.startswith("rounds/")]) == 12


def test_a_run_killed_at_any_point_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    run(tmp_path / "whole", 3)
    wanted = contents(tmp_path / "whole")
    points = 0
    for point in range(14):
        folder, left = tmp_path / f"killed-{point}", [point]

        def dies(_what: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        try:
            with Journal(folder, done=dies).locked() as journal:
                list(loop(journal).run(3))
        except Killed:
            points += 1
        run(folder, 3)
        assert contents(folder) == wanted
    assert points == 12


def test_a_half_written_line_is_cut_off_and_written_again(tmp_path: Path) -> None:
    run(tmp_path / "whole", 3)
    run(tmp_path / "torn", 3)
    ledger = tmp_path / "torn/ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-70])
    run(tmp_path / "torn", 3)
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_a_flipped_byte_stops_everything_and_says_where(tmp_path: Path) -> None:
    run(tmp_path, 3)
    ledger = tmp_path / "ledger.jsonl"
    spoilt = bytearray(ledger.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    ledger.write_bytes(spoilt)
    with pytest.raises(UnusableInput, match="line"):
        run(tmp_path, 4)
    assert ledger.read_bytes() == bytes(spoilt)


def test_a_candidate_that_was_changed_on_disk_is_found(tmp_path: Path) -> None:
    _, first = run(tmp_path, 1)
    (tmp_path / "blobs" / first["child"]).write_text('{"shop-slow/SKILL.md": "other"}')
    with pytest.raises(UnusableInput, match="not what was stored"):
        run(tmp_path, 2)


def test_two_loops_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path).locked(), pytest.raises(InUse, match="another stanch learn"):
        run(tmp_path, 1)


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(UnusableInput, match="another seed"):
        run(tmp_path, 2, settings=Settings(seed=2))


def test_a_judge_that_changed_ends_the_run(tmp_path: Path) -> None:
    judge = Judge()
    run(tmp_path, 1, judge=judge)
    judge.hashes["gate"] = "2"
    with pytest.raises(FrozenChanged, match="gate changed"):
        run(tmp_path, 2, judge=judge)


def test_every_row_says_what_it_was_judged_by(tmp_path: Path) -> None:
    assert all(row["hashes"] == {"gate": "1"} for row in run(tmp_path, 3))


def test_a_proposal_made_against_other_files_is_dropped(tmp_path: Path) -> None:
    def stale(request: Mapping[str, Any]) -> dict[str, Any]:
        told = priors(request)
        told["edits"][0][0]["before"] = "0" * 64
        return told

    _, first = run(tmp_path, 1, suggest=stale)
    assert first["edit"] is None
    assert "other files" in first["dropped"][0]["why"]


@pytest.mark.parametrize(
    "edit",
    [{"op": "run_shell"}, "drop everything", None, {}, []],
)
def test_what_is_no_edit_is_dropped_and_the_round_is_written_all_the_same(tmp_path: Path, edit: object) -> None:
    _, first = run(tmp_path, 1, suggest=lambda _request: {"edits": [[edit, "gave_up"]], "failures": {}})
    assert first["status"] == "revert"
    assert first["dropped"]
    assert (tmp_path / "rounds/0001.md").exists()


def test_a_kept_set_is_confirmed_every_ten_rounds(tmp_path: Path) -> None:
    rows = run(tmp_path, 10)
    assert rows[-1]["kind"] == "confirm"
    assert rows[-1]["status"] == "confirmed"
    assert fold(rows).confirmed == rows[-2]["child"]


def test_what_the_confirmation_does_not_find_again_is_taken_back(tmp_path: Path) -> None:
    def lucky(request: Mapping[str, Any], place: int) -> float:
        return 0.0 if "confirm" in request["stream"] else 0.4 * (place % 2)

    rows = run(tmp_path, 20, judge=Judge(lucky))
    confirmations = [row["status"] for row in rows if row["kind"] == "confirm"]
    assert confirmations == ["undecided", "rolled_back"]
    assert fold(rows).champion == rows[0]["tree"]


def test_a_canary_that_is_named_makes_the_run_void(tmp_path: Path) -> None:
    class Leaky(Judge):
        def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
            return {"asked": 5, "named": 1} if request["op"] == "canaries" else Judge.__call__(self, request)

    with pytest.raises(FrozenChanged, match="truth leaks"):
        run(tmp_path, 10, judge=Leaky())


def test_a_sensitive_edit_waits_and_the_page_shows_its_exact_bytes(tmp_path: Path) -> None:
    args = {"find": "# shop-slow", "replace": "# The shop is slow"}
    _, first = run(tmp_path, 1, suggest=lambda request: suggestion(request["tree"], "edit_prose", args))
    assert first["status"] == "awaiting_review"
    page = (tmp_path / f"reviews/{first['edit_id']}.md").read_text()
    assert "# The shop is slow" in page
