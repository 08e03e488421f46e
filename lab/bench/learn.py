"""The learning loop measured on families it never saw, beside what else could have brought the same."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from agent.learning.catalogue import CATALOGUE
from agent.learning.e_process import EProcess
from agent.learning.ledger import State, fold, kept_in, read
from agent.learning.preregistration import Unregistered, registered
from agent.learning.tree import identity
from lab.bench.intervals import resampled
from lab.bench.learn_baselines import (
    MINIBATCH,
    TUNING,
    counts_only,
    greedy,
    hand_edits,
    hand_tuned,
    tuning_rows,
    window,
)
from lab.bench.learn_tables import (
    HAND,
    LOOP,
    PLACEBO,
    REACHED,
    SHIPPED,
    UNTUNED,
    Row,
    Rows,
    arm_rows,
    mean,
    reductions,
    sensitivity,
    strata,
    superiority,
)
from lab.bench.untuned import untuned, write_skills
from lab.evaluator.crew import processors
from lab.learn.decisions import without
from lab.learn.journal import Journal, UnusableInput
from lab.learn.processes import ROOT, evaluator, proposer
from lab.learn.run import seed_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.learning.tree import Tree
    from lab.learn.processes import Asked

REGISTRATIONS = {
    "shipped": ROOT / "docs" / "preregistration" / "learning.json",
    "untuned": ROOT / "docs" / "preregistration" / "learning-untuned.json",
}
"""By the skills that the loops begin with."""
CURVE_EVERY = 20
AA_RUNS, AA_PAIRS, AA_INCIDENTS = 2000, 300, 1000
SPLITS = ("test", "unseen")


@click.command(
    "learn",
    epilog="\b\nExamples:\n  stanch bench learn --json > learn.jsonl\n  stanch bench learn --minutes 30 --out runs\n"
    "  stanch bench learn --start untuned --out untuned\n  stanch bench learn --tuning",
)
@click.option("--seeds", type=click.IntRange(1), help="Loops, seeds 1 to N; as many as are registered without it.")
@click.option("--rounds", default=120, show_default=True)
@click.option(
    "--start",
    type=click.Choice(list(REGISTRATIONS)),
    default="shipped",
    show_default=True,
    help="What the loops begin with: the skills as they are, or without what tuning put into them.",
)
@click.option(
    "--minutes", default=0.0, help="Start and continue loops for no longer than this; 0: as long as it takes."
)
@click.option("--workers", default=2, show_default=True, help="Loops side by side.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where loops are kept and resumed.")
@click.option("--recordings", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--tuning", is_flag=True, help="Only show the train incidents that lab/bench/hand_tuned.json is made from."
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of words.")
def learn(
    seeds: int | None, rounds: int, start: str, minutes: float, workers: int, out: Path | None,
    recordings: Path | None, *, tuning: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the loops, then open the sealed families once and compare. Progress on stderr."""
    if tuning:
        with evaluator(recordings, processes=processors()) as judge:
            _print(tuning_rows(judge, seed_tree()), as_json=as_json)
        return
    plan = _registration(start)
    count = len(plan["seeds"]) if seeds is None else seeds
    folder = out or Path("learning-bench")
    begun = Begun.of(start, folder)
    ends = time.monotonic() + minutes * 60 if minutes else None
    _loops(folder, begun, count, rounds, recordings, workers, ends)
    _print(Bench(folder, begun, count, rounds, recordings, plan).rows(), as_json=as_json)


def _registration(start: str) -> dict[str, Any]:
    """Raises UnusableInput."""
    path = REGISTRATIONS[start]
    try:
        return registered(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        kind = "cannot be used" if isinstance(error, Unregistered) else "cannot be read"
        raise UnusableInput(f"{path.relative_to(ROOT)} {kind}: {error}") from error


@dataclass(frozen=True, slots=True)
class Begun:
    """What the loops begin with. arm: its name in the tables. other: what an expert made of the same skills, and its
    name there. folder: for stanch learn --skills, None for the shipped ones.
    """

    arm: str
    tree: Tree
    other: tuple[str, Tree]
    folder: Path | None = None

    @classmethod
    def of(cls, start: str, folder: Path) -> Begun:
        """folder: where skills that are not the shipped ones are written. Raises UnusableInput."""
        shipped = seed_tree()
        if start == "shipped":
            return cls(SHIPPED, shipped, (HAND, hand_tuned(shipped, hand_edits())))
        tree = untuned(shipped)
        return cls(UNTUNED, tree, (REACHED, shipped), write_skills(folder / "skills", tree))


def _print(rows: Iterator[Row], *, as_json: bool) -> None:
    for row in rows:
        click.echo(json.dumps(row, allow_nan=False) if as_json else _words(row))


# --- The loops -------------------------------------------------------------------------------------------------------


def _loops(
    folder: Path, begun: Begun, seeds: int, rounds: int, recordings: Path | None, workers: int, ends: float | None
) -> None:
    """Runs or continues every loop and the placebo, some side by side; each survives being stopped."""
    waiting = [(f"loop-{seed}", seed, False) for seed in range(1, seeds + 1)]
    waiting.insert(min(2, len(waiting)), ("placebo-1", 1, True))
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    processes = max(1, processors() // workers)
    while waiting or running:
        late = ends is not None and time.monotonic() > ends
        while waiting and len(running) < workers and not late:
            name, seed, placebo = waiting.pop(0)
            running[name] = (
                _start(folder / name, begun, seed, rounds, recordings, processes, placebo=placebo),
                time.monotonic(),
            )
        for name, (process, began) in list(running.items()):
            if late and process.poll() is None:
                process.terminate()
                process.wait()
            if process.poll() is not None:
                del running[name]
                _progress(f"{name}: {_state(folder / name).rounds} rounds, {time.monotonic() - began:.0f} s")
                if process.returncode and not late:
                    raise UnusableInput(f"{name} ended with code {process.returncode}; its last words are above")
        if late:
            break
        time.sleep(0.5)


def _start(
    out: Path, begun: Begun, seed: int, rounds: int, recordings: Path | None, processes: int, *, placebo: bool
) -> subprocess.Popen[bytes]:
    place = ["--recordings", str(recordings.resolve())] if recordings else []
    place += ["--skills", str(begun.folder.resolve())] if begun.folder else []
    how = ["--processes", str(processes), *(["--placebo"] if placebo else [])]
    out.mkdir(parents=True, exist_ok=True)
    command = ["--rounds", str(rounds), "--seed", str(seed), "--out", str(out.resolve()), *place, *how]
    return subprocess.Popen([sys.executable, "-m", "lab.learn", *command], cwd=ROOT)


def _state(folder: Path) -> State:
    path = folder / "ledger.jsonl"
    return fold(read(path.read_bytes())) if path.exists() else State()


# --- The examination -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Bench:
    """Everything after the loops. plan: the registration."""

    folder: Path
    begun: Begun
    seeds: int
    rounds: int
    recordings: Path | None
    plan: Mapping[str, Any]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20261122))
    trees: dict[str, Mapping[str, str]] = field(default_factory=dict)
    ledgers: dict[str, tuple[Row, ...]] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        states = {seed: _state(self.folder / f"loop-{seed}") for seed in range(1, self.seeds + 1)}
        done = [seed for seed, state in states.items() if state.rounds >= self.rounds]
        complete = self._complete(done)
        yield {
            "kind": "run", "seeds_done": done, "rounds": self.rounds, "registered": complete,
            "registration": self.plan["name"], "incidents": dict(self.plan["incidents"]),
            "hand_tuned": hashlib.sha256(TUNING.read_bytes()).hexdigest(),
        }  # fmt: skip
        for seed, state in states.items():
            yield self._loop_row(seed, state)
        with evaluator(self.recordings, exam=True, processes=processors()) as judge, proposer() as suggest:
            yield {"kind": "frozen", **judge({"op": "frozen"})}
            yield from self._examined(judge, suggest, done, complete=complete)

    def _complete(self, done: Sequence[int]) -> bool:
        return list(done) == list(self.plan["seeds"]) and self.rounds == self.plan["rounds"]

    def _examined(self, judge: Asked, suggest: Asked, done: Sequence[int], *, complete: bool) -> Iterator[Row]:
        arms = self._arms(judge, suggest, done)
        for split in SPLITS:
            _progress(f"{split}: {sum(map(len, arms.values()))} candidates")
            results = {
                name: [self._exam(judge, tree, split) for tree in trees] for name, trees in arms.items() if trees
            }
            results["B5 case retrieval"] = [self._retrieved(judge, split)]
            yield from arm_rows(split, results)
            yield from self._bounds(judge, split)
            if done:
                weights = resampled([row["family"] for row in results[self.begun.arm][0]], self.rng)
                yield from reductions(split, results, weights, self.rng, self.plan, complete=complete)
                yield from superiority(split, results, weights, self.rng, self.plan)
                yield from strata(split, results)
                yield from sensitivity(split, results, weights)
        if done:
            yield from self._curve(judge, done)
            yield from self._operators(judge, done)
            yield from self._winner(judge, done)
        yield self._aa(judge, arms[self.begun.arm][0])

    def _arms(self, judge: Asked, suggest: Asked, done: Sequence[int]) -> dict[str, list[str]]:
        """Candidates by arm, one a run."""
        seed, (other, tree) = self.begun.tree, self.begun.other
        arms: dict[str, list[str]] = {self.begun.arm: [self._known(seed)]}
        arms[LOOP] = [self._champion(f"loop-{number}") for number in done]
        _progress("baselines")
        arms[other] = [self._known(tree)]
        arms["B2 counts only"] = [self._known(counts_only(judge, seed))]
        tree, kept = greedy(judge, suggest, seed, self.rounds)
        _progress(f"greedy kept {kept} of {self.rounds}")
        arms[f"B3 greedy, minibatch {MINIBATCH}"] = [self._known(tree)]
        if _state(self.folder / "placebo-1").rounds >= self.rounds:
            arms[PLACEBO] = [self._champion("placebo-1")]
        return arms

    def _known(self, tree: Mapping[str, str]) -> str:
        name = identity(tree)
        self.trees[name] = tree
        return name

    def _champion(self, loop: str, rounds: int | None = None) -> str:
        """The last confirmed candidate of a run, or as it was after so many rounds."""
        journal = Journal(self.folder / loop)
        state = fold(row for row in self._ledger(loop) if rounds is None or (row.get("round") or 0) <= rounds)
        return self._known(journal.tree(state.confirmed))

    def _ledger(self, loop: str) -> tuple[Row, ...]:
        """Read and checked once: it does not change any more."""
        if loop not in self.ledgers:
            self.ledgers[loop] = Journal(self.folder / loop).rows()
        return self.ledgers[loop]

    def _exam(self, judge: Asked, tree: str, split: str) -> Rows:
        count = int(self.plan["incidents"][split])
        judge({"op": "load", "files": dict(self.trees[tree])})
        rows: Rows = judge({"op": "examine", "tree": tree, "split": split, "stream": "exam", "count": count})["rows"]
        return rows

    def _retrieved(self, judge: Asked, split: str) -> Rows:
        wanted = self.plan["incidents"]
        request = {"op": "retrieve", "split": split, "stream": "exam", "count": int(wanted[split])}
        rows: Rows = judge({**request, "library": int(wanted["remembered"])})["rows"]
        return rows

    # --- Rows ----------------------------------------------------------------------------------------------------

    def _loop_row(self, seed: int, state: State) -> Row:
        path = self.folder / f"loop-{seed}" / "ledger.jsonl"
        rows = read(path.read_bytes()) if path.exists() else ()
        rounds = [row for row in rows if row["kind"] == "round"]
        return {
            "kind": "loop", "seed": seed, "rounds": state.rounds,
            "statuses": dict(sorted(Counter(row["status"] for row in rounds).items())),
            "kept_operators": dict(Counter(one.edit["op"] for one in state.kept)),
            "pairs": sum(row["pairs"] for row in rows if "pairs" in row),
            "confirmations": dict(Counter(row["status"] for row in rows if row["kind"] == "confirm")),
        }  # fmt: skip

    def _bounds(self, judge: Asked, split: str) -> Iterator[Row]:
        told = window(judge, self.begun.tree)
        usual = Counter(row["mechanism"] for row in told).most_common(1)[0][0]
        count = int(self.plan["incidents"][split])
        rows = judge({"op": "bounds", "split": split, "stream": "exam", "count": count, "constant": usual})["rows"]
        yield {
            "kind": "bound", "split": split, "arm": "B6 constant", "says": usual,
            "mean_mitigate_s": mean(rows, "constant_s"), "mechanism_right": mean(rows, "constant_right"),
        }  # fmt: skip
        yield {"kind": "bound", "split": split, "arm": "B7 oracle", "mean_mitigate_s": mean(rows, "oracle_s")}

    def _curve(self, judge: Asked, done: Sequence[int]) -> Iterator[Row]:
        """Of the stored candidates, after the run: nothing of it was seen by a loop."""
        known: dict[str, float] = {}
        for rounds in range(0, self.rounds + 1, CURVE_EVERY):
            values = []
            for seed in done:
                tree = self._champion(f"loop-{seed}", rounds)
                if tree not in known:
                    known[tree] = mean(self._exam(judge, tree, "test"), "mitigate_s")
                values.append(known[tree])
            yield {"kind": "curve", "rounds": rounds, "mean_mitigate_s": round(statistics.mean(values), 1),
                   "by_seed": [round(value, 1) for value in values]}  # fmt: skip

    def _operators(self, judge: Asked, done: Sequence[int]) -> Iterator[Row]:
        """What each operator's kept edits brought: as the gate saw it, and on test by leaving one edit out at a time.

        test_gain_s: seconds to mitigate that come back without them, summed over edits and loops; None where a later
        edit was built on each of them.
        """
        seen: dict[str, list[float]] = {}
        left_out: dict[str, list[float]] = {}
        for seed in done:
            journal = Journal(self.folder / f"loop-{seed}")
            state = fold(self._ledger(f"loop-{seed}"))
            kept = kept_in(state, state.confirmed)
            whole = mean(self._exam(judge, self._champion(f"loop-{seed}"), "test"), "mitigate_s") if kept else 0.0
            for place, one in enumerate(kept):
                seen.setdefault(one.edit["op"], []).append(one.mean)
                try:
                    tree = self._known(without(journal, kept, place, catalogue=CATALOGUE))
                except UnusableInput:
                    continue
                lost = mean(self._exam(judge, tree, "test"), "mitigate_s") - whole
                left_out.setdefault(one.edit["op"], []).append(lost)
        for op, values in sorted(seen.items(), key=lambda item: (-sum(left_out.get(item[0], ())), item[0])):
            gains = left_out.get(op)
            yield {
                "kind": "operator", "op": op, "kept": len(values), "validation_gain": round(sum(values), 4),
                "left_out": len(gains or ()), "test_gain_s": None if gains is None else round(sum(gains), 1),
            }  # fmt: skip

    def _winner(self, judge: Asked, done: Sequence[int]) -> Iterator[Row]:
        """What the gate measured when it kept, against what the sealed families show."""
        before = mean(self._exam(judge, self._known(self.begun.tree), "test"), "utility")
        for seed in done:
            state = fold(self._ledger(f"loop-{seed}"))
            test = mean(self._exam(judge, self._champion(f"loop-{seed}"), "test"), "utility") - before
            seen = sum(one.mean for one in kept_in(state, state.confirmed))
            yield {
                "kind": "winners_curse", "seed": seed,
                "validation_gain": round(seen, 4), "test_gain": round(test, 4), "curse": round(seen - test, 4),
            }  # fmt: skip

    def _aa(self, judge: Asked, tree: str, *, runs: int = AA_RUNS, incidents: int = AA_INCIDENTS) -> Row:
        """What the loop began with against itself, on different incidents, so that there is something to err about."""
        request = {"op": "examine", "tree": tree, "split": "validation", "stream": "a/a", "count": incidents}
        utilities = np.array([row["utility"] for row in judge(request)["rows"]])
        alpha = float(self.plan["constants"]["alpha"]["explore"])
        kept = 0
        for _ in range(runs):
            pairs = self.rng.choice(utilities, AA_PAIRS) - self.rng.choice(utilities, AA_PAIRS)
            process = EProcess()
            for first in range(0, AA_PAIRS, 30):
                process = process.after([float(one) for one in pairs[first : first + 30]])
                if process.value >= 1 / alpha:
                    kept += 1
                    break
        return {"kind": "a/a", "runs": runs, "pairs": AA_PAIRS, "alpha": alpha, "type_1_error": kept / runs}


def _words(row: Row) -> str:
    row = dict(row)
    kind = row.pop("kind")
    return f"{kind:14} " + "  ".join(f"{name}={value}" for name, value in row.items() if name != "hashes")


def _progress(text: str) -> None:
    click.echo(text, err=True)
