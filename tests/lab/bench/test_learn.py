from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from agent.learning.preregistration import registered
from agent.replay.utility import utility
from lab.bench.intervals import resampled
from lab.bench.learn import REGISTRATIONS, Begun, Bench
from lab.bench.learn_tables import Rows, reductions, sensitivity, superiority
from lab.evaluator.scores import Scores
from lab.learn.run import seed_tree
from tests.lab.learn import world
from tests.lab.learn.scripted import run

if TYPE_CHECKING:
    from pathlib import Path

PLANS = {start: registered(json.loads(path.read_bytes())) for start, path in REGISTRATIONS.items()}
PLAN = PLANS["shipped"]
FEW = {**PLAN, "incidents": {"test": 12, "unseen": 12, "remembered": 30}}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    run(tmp_path / "loop-1", 10)
    return Bench(tmp_path, Begun.of("shipped", tmp_path), 1, 10, None, FEW)


def test_the_rows_after_the_loops_say_what_a_reader_needs(bench: Bench) -> None:
    judge: Any = world.asked(world.scores(exam=True))
    curve = list(bench._curve(judge, [1]))
    assert [row["rounds"] for row in curve] == [0]
    (operator,) = bench._operators(judge, [1])
    assert (operator["op"], operator["kept"]) == ("set_prior", 10)
    assert operator["left_out"] == 10
    (curse,) = bench._winner(judge, [1])
    assert curse["curse"] == pytest.approx(curse["validation_gain"] - curse["test_gain"], abs=1e-3)


def test_every_arm_of_the_registration_is_in_the_table_of_both_splits(bench: Bench) -> None:
    run(bench.folder / "placebo-1", 10)
    worlds = {split: world.World(split) for split in ("train", "validation", "test", "unseen")}
    judge: Any = world.asked(Scores(worlds, exam=True))
    suggest: Any = world.suggesting()
    rows = list(takewhile(lambda row: row["kind"] != "a/a", bench._examined(judge, suggest, [1], complete=False)))
    for split in ("test", "unseen"):
        arms = {row["arm"] for row in rows if row["kind"] in {"arm", "bound"} and row["split"] == split}
        assert arms == {*PLAN["baselines"], "loop"} - {"a/a"}
        pairs = {(row["against"], row["arm"]) for row in rows if row["kind"] == "reduction" and row["split"] == split}
        assert {("B0 shipped skills", "loop"), ("B1 hand-tuned", "loop"), ("B4 placebo", "loop")} <= pairs
    wanted = {"stratum", "superiority", "sensitivity", "curve", "operator", "winners_curse"}
    assert wanted - {row["kind"] for row in rows} <= {"stratum"}


def test_a_run_from_untuned_skills_is_measured_beside_the_shipped_ones(tmp_path: Path) -> None:
    run(tmp_path / "loop-1", 10)
    begun = Begun.of("untuned", tmp_path)
    bench = Bench(tmp_path, begun, 1, 10, None, {**PLANS["untuned"], "incidents": FEW["incidents"]})
    judge: Any = world.asked(Scores({name: world.World(name) for name in ("train", "test", "unseen")}, exam=True))
    arms = bench._arms(judge, cast("Any", world.suggesting()), [1])

    assert {*PLANS["untuned"]["baselines"]} - {*arms} == {
        "B4 placebo", "B5 case retrieval", "B6 constant", "B7 oracle", "a/a"
    }  # fmt: skip
    assert bench.trees[arms["shipped skills"][0]] == seed_tree()
    assert bench.trees[arms["B0 untuned skills"][0]] == begun.tree
    assert begun.folder is not None
    assert seed_tree(begun.folder) == begun.tree


def test_the_shipped_skills_against_themselves_are_rarely_told_apart(bench: Bench) -> None:
    judge: Any = world.asked(world.scores(exam=True))
    tree = bench._known(seed_tree())
    judge({"op": "load", "files": dict(bench.trees[tree])})
    row = bench._aa(judge, tree, runs=200, incidents=60)
    assert row["type_1_error"] <= row["alpha"] + 0.04


def test_a_reduction_is_only_claimed_for_the_registered_run(bench: Bench) -> None:
    def rows(seconds: float) -> Rows:
        return [
            {"family": f"f{place % 4}", "mitigate_s": seconds, "mechanism_right": 1, "wrong_fix": 0, "harm": 0}
            for place in range(40)
        ]

    results = {"B0 shipped skills": [rows(400.0)], "B1 hand-tuned": [rows(250.0)], "loop": [rows(200.0)]}
    weights = resampled([row["family"] for row in rows(1.0)], bench.rng)
    hand, told, second = reductions("test", results, weights, bench.rng, PLAN, complete=False)
    assert (hand["arm"], told["reduction"], told["gates_hold"]) == ("B1 hand-tuned", 0.5, True)
    assert (second["against"], second["reduction"]) == ("B1 hand-tuned", 0.2)
    assert "nothing is claimed" in told["wording"]
    hand, claimed, second = reductions("test", results, weights, bench.rng, PLAN, complete=True)
    assert claimed["wording"].startswith("at least 30 %")
    assert "nothing is claimed" in hand["wording"]
    assert "nothing is claimed" in second["wording"]
    assert [row["shown"] for row in superiority("test", results, weights, bench.rng, PLAN)] == [True, False, False]
    assert not bench._complete([1])


def test_the_utility_is_taken_apart_and_weighed_otherwise() -> None:
    def rows(seconds: float, calibration: float, *, right: bool, harm: bool = False) -> Rows:
        worth = utility(mitigate_s=seconds, cause_right=right, wrong_fix=False, calibration=calibration, harm=harm)
        one = {"family": "f", "mitigate_s": seconds, "mechanism_right": right, "component_right": right,
               "wrong_fix": False, "harm": harm, "utility": worth}  # fmt: skip
        return [one] * 3

    results = {"B0 shipped skills": [rows(1200.0, 0.5, right=False)], "loop": [rows(600.0, 0.9, right=True)]}
    told = {
        (row["weight"], row["times"]): row["gain"]
        for row in sensitivity("test", results, np.ones((4, 3), dtype=np.float32))
    }
    assert told["none", 1.0] == pytest.approx(0.225 + 0.3 + 0.04)
    assert told["time", 0.5] == pytest.approx(0.1125 + 0.3 + 0.04)
    assert told["cause", 1.5] == pytest.approx(0.225 + 0.45 + 0.04)
    assert told["calibration", 1.5] == pytest.approx(0.225 + 0.3 + 0.06)
    assert told["no_wrong_fix", 0.5] == told["harm", 1.5] == told["none", 1.0]
    harmful = {**results, "loop": [rows(600.0, 0.9, right=True, harm=True)]}
    assert all(row["gain"] < 0 for row in sensitivity("test", harmful, np.ones((4, 3), dtype=np.float32))
               if row["weight"] != "harm")  # fmt: skip
