"""python -m lab.learn.proposer: a candidate and train incidents in, edits out, JSON Lines, in a process that can do
nothing else. Started by the learning loop.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from agent.learning.bandit import Record
from agent.learning.edits import Edit, Tier
from agent.learning.failures import Trajectory, clusters
from agent.learning.propose import propose
from agent.learning.random_edits import random_edits
from agent.learning.snapshot import snapshot
from agent.learning.tree import Reader
from guardrails.canonical import digest
from lab.learn.confinement import confine


def proposals(request: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """request: {tree, trajectories, record, catalogue, round, seed, how, tiers}; how: rules, counts or random.

    Answer: {edits: [[edit, kind of mistake]], failures: {"kind:skill": {n, lost}}}.
    """
    tree = request["tree"]
    skills = reader.skills(tree)
    rows = [Trajectory.from_data(row) for row in request["trajectories"]]
    rng = np.random.default_rng([request["seed"], request["round"]])
    found = clusters(rows, skills)
    edits: tuple[tuple[Edit, str], ...]
    match request["how"]:
        case "counts":
            edit = snapshot(tree, skills, rows, request["seed"])
            edits = () if edit is None else ((edit, "counts"),)
        case "random":
            edits = random_edits(tree, skills, rng, catalogue=request["catalogue"], seed=request["seed"])
        case _:
            edits = propose(
                tree,
                rows,
                Record(**request["record"]),
                catalogue=request["catalogue"],
                round_number=request["round"],
                seed=request["seed"],
                rng=rng,
                reader=reader,
                tiers=tuple(Tier(name) for name in request["tiers"]),
            )
    return {
        "edits": [[edit.to_data(), kind] for edit, kind in edits],
        "failures": {one.name: {"n": len(one.trajectories), "lost": round(one.weight, 4)} for one in found},
    }


def main() -> None:
    reader = Reader()
    digest({"first": 1, "second": 2})  # the codec that orders keys is loaded when it is first needed
    np.random.default_rng(0).beta(1, 1)
    confine()
    for line in sys.stdin:
        try:
            told = proposals(json.loads(line), reader)
        except (ValueError, KeyError, TypeError, PermissionError) as wrong:
            told = {"error": f"{type(wrong).__name__}: {wrong}"}
        sys.stdout.write(json.dumps(told, allow_nan=False, sort_keys=True) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
