"""One line in, one line out: which question of Scores a request asks, and every failure as an answer of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.runbook.skill import UnusableSkill
from lab.evaluator.scores import Refused, Scores

if TYPE_CHECKING:
    from collections.abc import Callable

Request = dict[str, Any]
Answer = dict[str, Any]


def answer(scores: Scores, hashes: Callable[[], dict[str, str]], request: Any) -> Answer:
    """Never raises. {"invalid"}: the candidate is unusable, whatever else is true of it. {"error"}: the question is."""
    try:
        return _answer(scores, hashes, request)
    except (Refused, KeyError, TypeError, AttributeError, ValueError) as wrong:
        kind = "invalid" if isinstance(wrong, UnusableSkill) else "error"
        return {kind: f"{type(wrong).__name__}: {wrong}" if kind == "error" else str(wrong)}


def _answer(scores: Scores, hashes: Callable[[], dict[str, str]], request: Request) -> Answer:
    match request["op"]:
        case "frozen":
            families = {split: len(source.families) for split, source in sorted(scores.sources.items())}
            return {"hashes": hashes(), "families": families}
        case "load":
            return {"tree": scores.load(request["files"])}
        case "forget":
            scores.forget(request["keep"])
            return {}
        case "train":
            return {"trajectories": scores.trajectories(request["tree"], request["stream"], request["count"])}
        case "train_compare":
            return scores.train_differences(request["parent"], request["child"], request["seeds"])
        case "compare":
            return scores.compare(
                request["parent"], request["child"], request["stream"], request["first"], request["count"]
            )
        case "canaries":
            return dict(scores.canaries(request["tree"], request["stream"]))
    return _examined(scores, request)


def _examined(scores: Scores, request: Request) -> Answer:
    """Only where the seal is off."""
    match request["op"]:
        case "examine":
            rows = scores.examine(request["tree"], request["split"], request["stream"], request["count"])
        case "retrieve":
            rows = scores.retrieved(request["split"], request["stream"], request["count"], request["library"])
        case "bounds":
            rows = scores.bounds(request["split"], request["stream"], request["count"], request["constant"])
        case _:
            raise Refused("the evaluator knows no such question")
    return {"rows": rows}


def answered_line(scores: Scores, hashes: Callable[[], dict[str, str]], line: str) -> str:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    told = answer(scores, hashes, request)
    try:
        return json.dumps(told, allow_nan=False, sort_keys=True)
    except ValueError:
        return json.dumps({"invalid": "a score is no finite number"})
