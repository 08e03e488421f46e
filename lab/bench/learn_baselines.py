"""What else could have brought what the loop brought: the shipped skills tuned by hand, counted, or changed greedily.

Each looks at train incidents alone, and gives the skills that the examination then takes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.learning.apply import ChangesNothing, apply, paths_of
from agent.learning.catalogue import CATALOGUE
from agent.learning.edits import Edit, Prediction, UnusableEdit
from agent.learning.failures import Trajectory, clusters
from agent.learning.snapshot import snapshot
from agent.learning.static_checks import check
from agent.learning.tree import Reader, Tree, hash_of, identity
from agent.runbook.skill import UnusableSkill
from lab.evaluator.scores import seeds
from lab.learn.journal import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.runbook.skill import Skill
    from lab.learn.loop import Ask

TUNING = Path(__file__).with_name("hand_tuned.json")
"""What an expert changed by hand after a look at train incidents, an edit a row, each with its reason."""
WINDOW = 120
MINIBATCH = 3
STREAM = "1|window|0"
"""The train incidents that every baseline looks at: the first window of the first loop."""

Row = dict[str, Any]
Rows = list[Row]


def window(judge: Ask, tree: Mapping[str, str], count: int = WINDOW, stream: str = STREAM) -> Rows:
    loaded = judge({"op": "load", "files": dict(tree)})
    if "invalid" in loaded:
        raise UnusableInput(f"the skills cannot be used: {loaded['invalid']}")
    told: Rows = judge({"op": "train", "tree": identity(tree), "stream": stream, "count": count})["trajectories"]
    return told


# --- B1: by hand -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandEdit:
    """One change an expert made. args: as agent.learning.apply takes them."""

    op: str
    skill: str
    args: Mapping[str, Any]
    why: str


def hand_edits(path: Path = TUNING) -> tuple[HandEdit, ...]:
    """Raises UnusableInput."""
    try:
        rows = json.loads(path.read_bytes())["edits"]
        edits = tuple(HandEdit(str(row["op"]), str(row["skill"]), dict(row["args"]), str(row["why"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise UnusableInput(f"{path.name} cannot be read: {type(wrong).__name__}: {wrong}") from wrong
    if nameless := [edit.op for edit in edits if not edit.why.strip()]:
        raise UnusableInput(f"{path.name}: {nameless[0]} does not say why")
    return edits


def hand_tuned(tree: Mapping[str, str], edits: Sequence[HandEdit]) -> Tree:
    """The skills with every edit in its order, held to the same static checks as the loop's; one that the skills say
    already is left out. Raises UnusableInput.
    """
    tuned, reader = dict(tree), Reader()
    for number, one in enumerate(edits, 1):
        try:
            edit = Edit(
                op=one.op, skill=one.skill, before=hash_of(tuned, paths_of(one.op, one.skill, tuned)), args=one.args,
                hypothesis=one.why, predicted=Prediction("utility", (), 1, 0.0), evidence=(), proposer="hand", seed=0,
            )  # fmt: skip
            after = apply(Edit.from_data(edit.to_data()), tuned)
            wrong = check(edit, tuned, after, reader=reader, catalogue=CATALOGUE).problems
        except ChangesNothing:
            continue
        except (UnusableEdit, UnusableSkill) as error:
            wrong = (str(error),)
        if wrong:
            raise UnusableInput(
                f"{TUNING.name}: edit {number}, {one.op} on {one.skill}: {'; '.join(wrong)}; the skills changed since "
                "the tuning was made, so it is made anew: stanch bench learn --tuning"
            )
        tuned = after
    return tuned


def tuning_rows(judge: Ask, tree: Mapping[str, str]) -> Iterator[Row]:
    """What an expert looks at: where train incidents go wrong, what checks said of each cause beside the skill's word,
    and what the tuning that is there makes of them. Train only: the tuned skills are judged like all others, later.
    """
    skills = Reader().skills(tree)
    told = [Trajectory.from_data(row) for row in window(judge, tree, 4 * WINDOW, "hand")]
    for cluster in clusters(told, skills):
        pairs = Counter((one.mechanism, one.cause) for one in cluster.trajectories)
        yield {
            "kind": "mistakes", "mistake": cluster.kind, "skill": cluster.skill, "n": len(cluster.trajectories),
            "lost": round(cluster.weight, 2), "true_and_said": [[*pair, n] for pair, n in pairs.most_common(5)],
        }  # fmt: skip
    for skill in skills.values():
        yield from _words(skill, [one for one in told if one.skill == skill.name])
    yield {"kind": "tuning", "skills": "shipped", **_train_score(told)}
    tuned = hand_tuned(tree, hand_edits())
    rows = [Trajectory.from_data(row) for row in window(judge, tuned, 4 * WINDOW, "hand")]
    yield {"kind": "tuning", "skills": "hand-tuned", **_train_score(rows)}


def _words(skill: Skill, rows: Sequence[Trajectory]) -> Iterator[Row]:
    """Of each check that was recorded: how often it said yes by cause, beside what the skill takes it for."""
    for one in skill.checks.values():
        if one.gathers:
            continue
        counted: dict[str, list[int]] = {}
        for row in rows:
            status = row.status(one)
            if status in {"yes", "no"} and row.mechanism in skill.causes:
                cell = counted.setdefault(row.mechanism, [0, 0])
                cell[0] += status == "yes"
                cell[1] += 1
        off = {
            cause: [yes, n, round(one.yes_given[cause], 2), one.supports.get(cause, one.otherwise)]
            for cause, (yes, n) in sorted(counted.items())
            if n >= 5 and abs(yes / n - one.yes_given[cause]) > 0.3  # noqa: PLR2004 what the eye would stop at
        }
        if off:
            yield {"kind": "check", "skill": skill.name, "check": one.id, "yes_of_asked_word": off}


def _train_score(rows: Sequence[Trajectory]) -> Row:
    return {
        "incidents": len(rows),
        "mean_mitigate_s": round(sum(row.mitigate_s for row in rows) / len(rows), 1),
        "right": round(sum(row.right for row in rows) / len(rows), 4),
        "wrong_fix": sum(row.wrong_fix for row in rows),
        "harm": sum(row.harm for row in rows),
        "utility": round(sum(row.utility for row in rows) / len(rows), 4),
    }


# --- B2: counts only ---------------------------------------------------------------------------------------------


def counts_only(judge: Ask, tree: Mapping[str, str]) -> Mapping[str, str]:
    """Every verified train incident counted, nothing else changed, nothing gated."""
    told = [Trajectory.from_data(row) for row in window(judge, tree)]
    edit = snapshot(tree, Reader().skills(tree), told, 1)
    return tree if edit is None else apply(edit, tree)


# --- B3: greedy --------------------------------------------------------------------------------------------------


def greedy(judge: Ask, suggest: Ask, seed: Mapping[str, str], rounds: int) -> tuple[Tree, int]:
    """The usual way: keep what did better on three train incidents, the same three for both. Also how many it kept."""
    tree, reader, kept = dict(seed), Reader(), 0
    told = window(judge, tree)
    for number in range(1, rounds + 1):
        edits = suggest(
            {
                "tree": tree, "trajectories": told, "record": {}, "catalogue": list(CATALOGUE), "round": number,
                "seed": 1, "how": "rules", "tiers": ["T1"],
            }
        )["edits"]  # fmt: skip
        few = seeds("train", f"greedy|{number}", 0, MINIBATCH)
        child = _better(judge, reader, tree, [Edit.from_data(one) for one, _ in edits[:1]], few)
        if child is not None:
            tree, kept = child, kept + 1
            judge({"op": "forget", "keep": identity(tree)})
            told = window(judge, tree)
    return tree, kept


def _better(judge: Ask, reader: Reader, tree: Tree, edits: Sequence[Edit], few: Sequence[int]) -> Tree | None:
    for edit in edits:
        try:
            after = apply(edit, tree)
            if check(edit, tree, after, reader=reader, catalogue=CATALOGUE).problems:
                continue
        except (UnusableEdit, UnusableSkill):
            continue
        loaded = judge({"op": "load", "files": after})
        request = {"op": "train_compare", "parent": identity(tree), "child": identity(after), "seeds": list(few)}
        if "invalid" not in loaded and sum(judge(request).get("differences", [0.0])) > 0:
            return after
    return None
