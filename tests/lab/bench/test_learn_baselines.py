from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from agent.learning.tree import Reader
from lab.bench.learn_baselines import counts_only, greedy, hand_edits, hand_tuned, tuning_rows
from lab.learn.journal import UnusableInput
from lab.learn.run import seed_tree
from tests.lab.learn import world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RIGHT = {"check": "pool_waiting", "cause": "connection_leak", "strength": "strong"}


def written(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps({"made": "here", "edits": list(rows)}))
    return path


def test_the_tuning_that_comes_with_the_bench_fits_the_skills_that_do() -> None:
    edits = hand_edits()
    tuned = hand_tuned(seed_tree(), edits)
    changed = {path.partition("/")[0] for path, text in tuned.items() if seed_tree().get(path) != text}
    assert changed
    assert changed <= {edit.skill for edit in edits}
    assert Reader().skills(tuned)
    assert hand_tuned(tuned, edits) == tuned, "what the skills say already is left out"


def test_each_edit_of_a_tuning_says_why(tmp_path: Path) -> None:
    row = {"op": "set_prior", "skill": "shop-slow", "args": {"cause": "bad_deploy", "prior": 0.2}, "why": " "}
    with pytest.raises(UnusableInput, match="does not say why"):
        hand_edits(written(tmp_path / "tuned.json", row))


@pytest.mark.parametrize("text", ["", "{}", '{"edits": [{}]}', '{"edits": 3}', "[]"])
def test_a_tuning_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tuned.json"
    path.write_text(text)
    with pytest.raises(UnusableInput, match=r"tuned\.json cannot be read"):
        hand_edits(path)


@pytest.mark.parametrize(
    ("op", "args", "why"),
    [
        ("set_prior", {"cause": "nobody", "prior": 0.2}, "there is no cause"),
        ("set_prior", {"cause": "bad_deploy", "prior": 7}, "0.01 to 0.9"),
        ("run_shell", {}, "closed set"),
        ("add_check", {"check": {"id": "guess", "tool": "shell", "cost_s": 1.0, "supports": {}}}, "guess"),
    ],
)
def test_a_tuning_is_held_to_what_the_loop_is_held_to(
    tmp_path: Path, op: str, args: Mapping[str, Any], why: str
) -> None:
    path = written(tmp_path / "tuned.json", {"op": op, "skill": "shop-slow", "args": args, "why": "a guess"})
    with pytest.raises(UnusableInput, match=why):
        hand_tuned(world.tree(), hand_edits(path))


def test_who_tunes_sees_train_incidents_and_what_the_skill_says_wrongly() -> None:
    judge = world.scores()
    asked: list[str] = []

    def ask(request: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(request["op"])
        return world.asked(judge)(request)

    told = tuning_rows(ask, world.tree())
    rows = list(takewhile(lambda row: row["kind"] != "tuning", told))
    with pytest.raises(UnusableInput, match=r"hand_tuned\.json"):  # it is for the skills that come with Stanch
        next(told)
    assert set(asked) == {"load", "train"}
    off = [row for row in rows if row["kind"] == "check" and row["check"] == "pool_waiting"]
    yes, n, word, said = off[0]["yes_of_asked_word"]["connection_leak"]
    assert (word, said) == (0.04, "against")
    assert yes > 0.8 * n


def test_counting_and_greed_look_at_train_alone_and_change_what_they_may() -> None:
    judge = world.asked(world.scores())
    assert counts_only(judge, world.tree()) == world.tree()  # no fix was verified: there is nothing to count
    tree, kept = greedy(judge, world.suggesting(), world.tree(), 6)
    assert kept
    assert {path for path, text in tree.items() if world.tree()[path] != text} <= {
        "shop-slow/references/diagnosis.yaml", "generic-triage/references/diagnosis.yaml"
    }  # fmt: skip
