"""The whole loop on the small world: what helps is found and kept, what does not is not."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from agent.learning.edits import Edit
from agent.learning.ledger import fold
from agent.learning.tree import Reader
from lab.evaluator.scores import Scores
from lab.learn.journal import Journal
from lab.learn.loop import Loop, Settings
from tests.lab.learn import world
from tests.lab.learn.scripted import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SMALL = Settings(seed=1, window=40, block=30, cap=240)


def learned(
    folder: Path, rounds: int, *, judge: Any = None, suggest: Any = None, files: Any = None, settings: Settings = SMALL
) -> list[dict[str, Any]]:
    with Journal(folder).locked() as journal:
        loop = Loop(
            journal,
            world.asked(judge or world.scores()),
            suggest or world.suggesting(),
            settings,
            files or world.tree(),
            world.CATALOGUE,
            Reader(),
        )
        return list(loop.run(rounds))


def planted(op: str, args: dict[str, Any]) -> Any:
    def suggest(request: Mapping[str, Any]) -> dict[str, Any]:
        return suggestion(request["tree"], op, args, ())

    return suggest


def test_a_planted_good_edit_is_kept(tmp_path: Path) -> None:
    right = {"check": "pool_waiting", "cause": "connection_leak", "strength": "strong"}
    _, first = learned(tmp_path, 1, suggest=planted("set_support_strength", right))
    assert first["status"] == "keep"
    assert first["strata"]["all"]["child"]["right"] > first["strata"]["all"]["parent"]["right"]


def test_a_planted_harmful_edit_is_not(tmp_path: Path) -> None:
    wrong = {"check": "pool_waiting", "cause": "connection_leak", "strength": "against"}
    _, first = learned(tmp_path, 1, suggest=planted("set_support_strength", wrong), files=world.tree(pool="strong"))
    assert first["status"] == "revert"


def test_a_planted_edit_that_trusts_the_alert_is_vetoed_although_it_gains(tmp_path: Path) -> None:
    """Where leaks are the rule, saying `leak` to everything gains; the rare other cause is what pays for it."""
    lopsided = {name: world.World(name, rare="anchor-swap", leaks=0.8) for name in ("train", "validation")}
    careful = {
        path: text.replace("margin: 0.3", "margin: 0.6")
        for path, text in world.tree(pool="weak", deploy="weak").items()
    }
    trusting = planted("set_prior", {"cause": "connection_leak", "prior": 0.9})
    _, first = learned(tmp_path, 1, judge=Scores(lopsided), suggest=trusting, files=careful)
    assert first["mean"] > 0
    assert first["status"] == "revert"
    assert "anchor-swap: the cause is missed" in first["why"]


def test_the_loop_itself_finds_what_the_skill_misreads(tmp_path: Path) -> None:
    rows = learned(tmp_path, 4)
    kept = [Edit.from_data(one.edit) for one in fold(rows).kept]
    assert any(edit.op == "set_support_strength" and edit.args["check"] == "pool_waiting" for edit in kept)


def test_random_edits_gain_nothing_that_is_told_from_zero(tmp_path: Path) -> None:
    settings = Settings(seed=2, window=20, block=30, cap=60, how="random")
    rows = learned(tmp_path, 4, files=world.tree(pool="strong"), settings=settings)
    means = [row["mean"] for row in rows if row["kind"] == "round" and row["pairs"]]
    spread = statistics.pstdev(means) / max(len(means) - 1, 1) ** 0.5 if len(means) > 1 else 1.0
    assert not means or abs(statistics.fmean(means)) <= 2.6 * spread + 0.02


def test_learning_twice_with_one_seed_writes_one_ledger(tmp_path: Path) -> None:
    tiny = Settings(seed=1, window=16, block=20, cap=40)
    learned(tmp_path / "once", 1, settings=tiny)
    learned(tmp_path / "again", 1, settings=tiny)
    assert (tmp_path / "once/ledger.jsonl").read_bytes() == (tmp_path / "again/ledger.jsonl").read_bytes()
