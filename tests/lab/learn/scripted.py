"""A judge and a proposer that say what a test tells them to: for the loop's own ways, where nothing needs playing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.learning.apply import paths_of
from agent.learning.catalogue import CATALOGUE
from agent.learning.edits import Edit, Prediction
from agent.learning.tree import Reader, hash_of, identity
from lab.learn.journal import Journal
from lab.learn.loop import Loop, Settings
from tests.lab.learn.world import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ARM = {"right": 0, "wrong_fixes": 0, "harms": 0, "mitigate_s": 0.0, "asked": 0}


def helps(_request: Mapping[str, Any], place: int) -> float:
    return 0.4 if place % 3 == 0 else 0.0


def does_nothing(_request: Mapping[str, Any], _place: int) -> float:
    return 0.0


@dataclass(slots=True)
class Judge:
    """gain: difference of utility of a pair. lost_anchors: incidents of the anchor-swap stratum the child misses."""

    gain: Callable[[Mapping[str, Any], int], float] = helps
    lost_anchors: int = 0
    hashes: dict[str, str] = field(default_factory=lambda: {"gate": "1"})
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(request["op"])
        match request["op"]:
            case "frozen":
                return {"hashes": dict(self.hashes), "families": {}}
            case "load":
                return {"tree": identity(request["files"])}
            case "train":
                return {"trajectories": [{"seed": seed} for seed in range(10)]}
            case "train_compare":
                seeds = request["seeds"]
                return {"differences": [0.01] * len(seeds), "changed": seeds, "mended": seeds[:1], "broken": []}
            case "compare":
                return self._compare(request)
            case "canaries":
                return {"asked": 5, "named": 0}
        return {}

    def _compare(self, request: Mapping[str, Any]) -> dict[str, Any]:
        first, count = request["first"], request["count"]
        differences = [self.gain(request, first + place) for place in range(count)]
        lost = min(self.lost_anchors, count)
        anchors = {"n": count, "changed": count, "parent": {**ARM, "right": lost}, "child": ARM}
        everything = {"n": count, "changed": count, "parent": ARM, "child": {**ARM, "right": lost}}
        return {"differences": differences, "tallies": {"all": everything, "anchor-swap": anchors}}


def priors(request: Mapping[str, Any]) -> dict[str, Any]:
    """Every round another prior of the same cause."""
    files = request["tree"]
    return suggestion(files, "set_prior", {"cause": "bad_deploy", "prior": round(0.05 + 0.01 * request["round"], 2)})


def suggestion(
    files: Mapping[str, str], op: str, args: dict[str, Any], evidence: tuple[str, ...] = ("train#1",)
) -> dict[str, Any]:
    edit = Edit(
        op=op,
        skill="shop-slow",
        before=hash_of(files, paths_of(op, "shop-slow", files)),
        args=args,
        hypothesis="the test says so",
        predicted=Prediction("utility", (), 1, 0.1),
        evidence=evidence,
        proposer="rules",
        seed=1,
    )
    return {"edits": [[edit.to_data(), "gave_up"]], "failures": {"gave_up:shop-slow": {"n": 3, "lost": 2.0}}}


def loop(journal: Journal, *, judge: Any = None, suggest: Any = priors, settings: Settings | None = None) -> Loop:
    return Loop(
        journal,
        judge if judge is not None else Judge(),
        suggest,
        settings or Settings(seed=1),
        tree(),
        CATALOGUE,
        Reader(),
    )


def run(folder: Path, rounds: int, **how: Any) -> list[dict[str, Any]]:
    with Journal(folder).locked() as journal:
        return list(loop(journal, **how).run(rounds))


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run wrote, except the lock and what a kill left half."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock" and not path.name.endswith(".half")
    }
