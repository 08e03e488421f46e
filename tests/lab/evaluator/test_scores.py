from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.learning.tree import Reader, identity
from agent.replay.play import play
from lab.evaluator.answers import answer, answered_line
from lab.evaluator.frozen import PARTS, hashes
from lab.evaluator.scores import Refused, Scores, seeds
from tests.lab.learn import world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.replay.case import Case
    from agent.replay.play import Played
    from agent.runbook.skill import Skill


def loaded(judge: Scores, **how: Any) -> str:
    return judge.load(world.tree(**how))


def ask(judge: Scores, **request: Any) -> dict[str, Any]:
    return answer(judge, dict, request)


def test_a_comparison_tells_scores_and_counts_and_nothing_of_the_incidents() -> None:
    judge = world.scores()
    told = judge.compare(loaded(judge), loaded(judge, pool="strong"), "s", 0, 60)
    assert set(told) == {"differences", "tallies"}
    assert len(told["differences"]) == 60
    assert sum(told["differences"]) > 0
    assert "validation#" not in json.dumps(told)


def test_a_candidate_against_itself_differs_nowhere_and_nothing_is_played() -> None:
    judge = world.scores(player=lambda *_: pytest.fail("nothing can differ"))
    seed = loaded(judge)
    assert judge.compare(seed, seed, "s", 0, 40)["differences"] == [0.0] * 40


@pytest.mark.parametrize("split", ["test", "unseen", "train", "validation"])
def test_without_the_examination_no_split_tells_its_incidents(split: str) -> None:
    judge = world.scores()
    with pytest.raises(Refused, match="sealed"):
        judge.examine(loaded(judge), split, "s", 5)
    with pytest.raises(Refused, match="sealed"):
        judge.bounds(split, "s", 5, "bad_deploy")


def test_the_examination_tells_outcomes_and_no_answers() -> None:
    judge = world.scores(exam=True)
    rows = judge.examine(loaded(judge), "test", "s", 5)
    assert len(rows) == 5
    assert not {"answers", "labels", "seed", "mechanism"} & set(rows[0])


def test_splits_and_streams_share_no_seed() -> None:
    streams = [("train", "a"), ("validation", "a"), ("validation", "b"), ("test", "a")]
    drawn = [seed for split, stream in streams for seed in seeds(split, stream, 0, 500)]
    assert len(set(drawn)) == len(drawn)


def test_block_by_block_or_at_once_the_incidents_are_the_same() -> None:
    assert seeds("validation", "s", 0, 10) == seeds("validation", "s", 0, 4) + seeds("validation", "s", 4, 6)


@pytest.mark.parametrize("utility", [math.nan, math.inf, -0.1, 1.5])
def test_a_utility_that_is_none_makes_the_candidate_invalid(utility: float) -> None:
    def player(case: Case, skills: Mapping[str, Skill]) -> Played:
        return replace(play(case, skills), utility=utility)

    judge = world.scores(player=player)
    parent, child = loaded(judge), loaded(judge, pool="strong")
    told = ask(judge, op="compare", parent=parent, child=child, stream="s", first=0, count=3)
    assert "no utility" in told["invalid"]


def test_a_candidate_that_breaks_the_player_is_invalid_and_the_evaluator_goes_on() -> None:
    def player(_case: Case, _skills: Mapping[str, Skill]) -> Played:
        raise RecursionError("round and round")

    judge = world.scores(player=player)
    parent, child = loaded(judge), loaded(judge, pool="strong")
    told = ask(judge, op="compare", parent=parent, child=child, stream="s", first=0, count=3)
    assert "playing it failed" in told["invalid"]
    assert "tree" in ask(judge, op="load", files=world.tree())


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", '{"op": "shell"}', '{"op": "compare"}', '{"op": "train", "tree": 3}']
)
def test_a_bad_line_is_answered_and_the_rest_goes_on(line: str) -> None:
    judge = world.scores()
    assert "error" in json.loads(answered_line(judge, dict, line))
    assert json.loads(answered_line(judge, dict, '{"op": "frozen"}'))["families"]["train"] == 2


def test_skills_that_cannot_be_read_are_invalid() -> None:
    spoilt = {**world.tree(), "shop-slow/references/diagnosis.yaml": "causes: []"}
    assert "shop-slow" in ask(world.scores(), op="load", files=spoilt)["invalid"]


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_more_than_is_sensible_is_not_played(count: int) -> None:
    judge = world.scores()
    assert "at once" in ask(judge, op="train", tree=loaded(judge), stream="s", count=count)["error"]


def test_a_canary_is_never_named() -> None:
    judge = world.scores()
    assert judge.canaries(loaded(judge), "s") == {"asked": 5, "named": 0}


def test_train_incidents_are_told_in_full() -> None:
    judge = world.scores()
    (one,) = judge.trajectories(loaded(judge), "s", 1)
    assert set(one["answers"]) == set(world.CATALOGUE)
    assert one["mechanism"] in world.SAYS_YES


def test_what_is_forgotten_is_not_remembered_of_the_champion() -> None:
    judge = world.scores()
    seed, other = loaded(judge), loaded(judge, pool="strong")
    judge.forget(seed)
    assert set(judge.candidates) == {seed}
    assert "error" in ask(judge, op="train", tree=other, stream="s", count=1)


def test_counts_are_part_of_a_candidate() -> None:
    counted = {**world.tree(), "shop-slow/evidence/counts.json": "{}"}
    assert identity(counted) != identity(world.tree())
    assert Reader().skills(counted)["shop-slow"].name == "shop-slow"


def test_every_frozen_part_has_files_and_a_changed_file_changes_its_hash(tmp_path: Path) -> None:
    for patterns in PARTS.values():
        for pattern in patterns:
            path = tmp_path / pattern.replace("**", "deep").replace("*", "one")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("before")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    before = hashes(recordings, tmp_path)
    (tmp_path / "agent/learning/gate.py").write_text("after")
    (recordings / "new.json.gz").write_bytes(b"1")
    after = hashes(recordings, tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"gate", "recordings"}


def test_every_frozen_part_is_there_in_the_tree(tmp_path: Path) -> None:
    nothing = hashes(tmp_path, tmp_path)
    found = hashes(tmp_path)
    assert all(found[part] != nothing[part] for part in PARTS)
