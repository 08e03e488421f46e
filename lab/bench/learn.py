"""The learning loop measured on families it never saw, beside what else could have brought the same."""

from __future__ import annotations

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

from agent.learning.apply import apply
from agent.learning.catalogue import CATALOGUE
from agent.learning.e_process import EProcess
from agent.learning.edits import Edit, UnusableEdit
from agent.learning.failures import Trajectory
from agent.learning.ledger import State, fold, read
from agent.learning.preregistration import Unregistered, registered, wording
from agent.learning.snapshot import snapshot
from agent.learning.static_checks import check
from agent.learning.tree import Reader, identity
from agent.runbook.skill import UnusableSkill
from lab.bench.intervals import difference, reduction, resampled
from lab.evaluator.scores import seeds as train_seeds
from lab.learn.journal import Journal, UnusableInput
from lab.learn.processes import ROOT, evaluator, proposer
from lab.learn.run import seed_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lab.learn.processes import Asked

REGISTRATION = ROOT / "docs" / "preregistration" / "learning.json"
CURVE_EVERY = 20
WINDOW = 120
MINIBATCH = 3
AA_RUNS, AA_PAIRS, AA_INCIDENTS = 2000, 300, 1000
SPLITS = ("test", "unseen")

Row = dict[str, Any]
Rows = list[Row]


@click.command(
    "learn",
    epilog="\b\nExamples:\n  stanch bench learn --json > learn.jsonl\n  stanch bench learn --minutes 30 --out runs",
)
@click.option("--seeds", default=5, show_default=True, help="Loops, seeds 1 to N.")
@click.option("--rounds", default=120, show_default=True)
@click.option(
    "--minutes", default=0.0, help="Start and continue loops for no longer than this; 0: as long as it takes."
)
@click.option("--workers", default=2, show_default=True, help="Loops side by side.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where loops are kept and resumed.")
@click.option("--recordings", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of words.")
def learn(
    seeds: int, rounds: int, minutes: float, workers: int, out: Path | None, recordings: Path | None, *, as_json: bool
) -> None:
    """Run the loops, then open the sealed families once and compare. Progress on stderr."""
    try:
        plan = registered(json.loads(REGISTRATION.read_bytes()))
    except (OSError, ValueError) as error:
        kind = "cannot be used" if isinstance(error, Unregistered) else "cannot be read"
        raise UnusableInput(f"{REGISTRATION.relative_to(ROOT)} {kind}: {error}") from error
    folder = out or Path("learning-bench")
    ends = time.monotonic() + minutes * 60 if minutes else None
    _loops(folder, seeds, rounds, recordings, workers, ends)
    bench = Bench(folder, seeds, rounds, recordings, plan)
    for row in bench.rows():
        click.echo(json.dumps(row, allow_nan=False) if as_json else _words(row))


# --- The loops -------------------------------------------------------------------------------------------------------


def _loops(folder: Path, seeds: int, rounds: int, recordings: Path | None, workers: int, ends: float | None) -> None:
    """Runs or continues every loop and the placebo, some side by side; each survives being stopped."""
    waiting = [(f"loop-{seed}", seed, False) for seed in range(1, seeds + 1)]
    waiting.insert(min(2, len(waiting)), ("placebo-1", 1, True))
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    while waiting or running:
        late = ends is not None and time.monotonic() > ends
        while waiting and len(running) < workers and not late:
            name, seed, placebo = waiting.pop(0)
            running[name] = (_start(folder / name, seed, rounds, recordings, placebo=placebo), time.monotonic())
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


def _start(out: Path, seed: int, rounds: int, recordings: Path | None, *, placebo: bool) -> subprocess.Popen[bytes]:
    place = ["--recordings", str(recordings.resolve())] if recordings else []
    how = ["--placebo"] if placebo else []
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
    seeds: int
    rounds: int
    recordings: Path | None
    plan: Mapping[str, Any]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20261122))
    trees: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        states = {seed: _state(self.folder / f"loop-{seed}") for seed in range(1, self.seeds + 1)}
        done = [seed for seed, state in states.items() if state.rounds >= self.rounds]
        complete = self._complete(done)
        yield {
            "kind": "run", "seeds_done": done, "rounds": self.rounds, "registered": complete,
            "registration": self.plan["name"], "incidents": dict(self.plan["incidents"]),
        }  # fmt: skip
        for seed, state in states.items():
            yield self._loop_row(seed, state)
        with evaluator(self.recordings, exam=True) as judge, proposer() as suggest:
            yield {"kind": "frozen", **judge({"op": "frozen"})}
            yield from self._examined(judge, suggest, done, complete=complete)

    def _complete(self, done: Sequence[int]) -> bool:
        return list(done) == list(self.plan["seeds"]) and self.rounds == self.plan["rounds"]

    def _examined(self, judge: Asked, suggest: Asked, done: Sequence[int], *, complete: bool) -> Iterator[Row]:
        seed = seed_tree()
        arms: dict[str, list[str]] = {"B0 shipped skills": [self._known(seed)]}
        arms["loop"] = [self._champion(f"loop-{number}") for number in done]
        _progress("baselines")
        arms["B2 counts only"] = [self._known(self._counts_only(judge, seed))]
        arms[f"B3 greedy, minibatch {MINIBATCH}"] = [self._known(self._greedy(judge, suggest, seed))]
        if _state(self.folder / "placebo-1").rounds >= self.rounds:
            arms["B4 placebo"] = [self._champion("placebo-1")]
        for split in SPLITS:
            _progress(f"{split}: {sum(map(len, arms.values()))} candidates")
            results = {
                name: [self._exam(judge, tree, split) for tree in trees] for name, trees in arms.items() if trees
            }
            yield from self._arm_rows(split, results)
            yield from self._bounds(judge, split)
            if done:
                yield from self._headline(split, results, complete=complete)
                yield from self._strata(split, results)
        if done:
            yield from self._curve(judge, done)
            yield from self._operators(done)
            yield from self._winner(judge, done)
        yield self._aa(judge, arms["B0 shipped skills"][0])

    def _known(self, tree: Mapping[str, str]) -> str:
        name = identity(tree)
        self.trees[name] = tree
        return name

    def _champion(self, loop: str, rounds: int | None = None) -> str:
        """The last confirmed candidate of a run, or as it was after so many rounds."""
        journal = Journal(self.folder / loop)
        rows = journal.rows()
        state = fold(row for row in rows if rounds is None or (row.get("round") or 0) <= rounds)
        return self._known(journal.tree(state.confirmed))

    def _exam(self, judge: Asked, tree: str, split: str) -> Rows:
        count = int(self.plan["incidents"][split])
        judge({"op": "load", "files": dict(self.trees[tree])})
        rows: Rows = judge({"op": "examine", "tree": tree, "split": split, "stream": "exam", "count": count})["rows"]
        return rows

    # --- Baselines -----------------------------------------------------------------------------------------------

    def _window(self, judge: Asked, tree: Mapping[str, str]) -> Rows:
        judge({"op": "load", "files": dict(tree)})
        request = {"op": "train", "tree": identity(tree), "stream": "1|window|0", "count": WINDOW}
        told: Rows = judge(request)["trajectories"]
        return told

    def _counts_only(self, judge: Asked, tree: Mapping[str, str]) -> Mapping[str, str]:
        """Every verified train incident counted, nothing else changed, nothing gated."""
        told = [Trajectory.from_data(row) for row in self._window(judge, tree)]
        edit = snapshot(tree, Reader().skills(tree), told, 1)
        return tree if edit is None else apply(edit, tree)

    def _greedy(self, judge: Asked, suggest: Asked, seed: Mapping[str, str]) -> Mapping[str, str]:
        """The usual way: keep what did better on three train incidents, the same three for both."""
        tree, reader, kept = dict(seed), Reader(), 0
        for number in range(1, self.rounds + 1):
            judge({"op": "forget", "keep": identity(tree)})
            told = self._window(judge, tree)
            edits = suggest(
                {
                    "tree": tree, "trajectories": told, "record": {}, "catalogue": list(CATALOGUE), "round": number,
                    "seed": 1, "how": "rules", "tiers": ["T1"],
                }
            )["edits"]  # fmt: skip
            few = train_seeds("train", f"greedy|{number}", 0, MINIBATCH)
            child = self._better(judge, reader, tree, [Edit.from_data(one) for one, _ in edits[:1]], few)
            kept += child is not None
            tree = child or tree
        _progress(f"greedy kept {kept} of {self.rounds}")
        return tree

    @staticmethod
    def _better(
        judge: Asked, reader: Reader, tree: dict[str, str], edits: Sequence[Edit], few: Sequence[int]
    ) -> dict[str, str] | None:
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

    def _arm_rows(self, split: str, results: Mapping[str, list[Rows]]) -> Iterator[Row]:
        for name, runs in results.items():
            every = [row for run in runs for row in run]
            benign = [row for row in every if "benign" in row["strata"]]
            acted = [row for row in every if row["acted"]]
            yield {
                "kind": "arm", "split": split, "arm": name, "runs": len(runs), "incidents": len(runs[0]),
                "families": len({row["family"] for row in runs[0]}),
                "mean_mitigate_s": _mean(every, "mitigate_s"),
                "median_mitigate_s": round(statistics.median(row["mitigate_s"] for row in every), 1),
                "mechanism_right": _mean(every, "mechanism_right"),
                "component_right": _mean(every, "component_right"),
                "wrong_fixes_of_fixes": round(sum(r["wrong_fix"] for r in acted) / len(acted), 4) if acted else None,
                "wrong_fix": _mean(every, "wrong_fix"), "harm": _mean(every, "harm"),
                "acted_on_benign": sum(row["acted"] for row in benign), "benign": len(benign),
                "abstained": _mean(every, "abstained"), "asked": _mean(every, "asked"),
                "utility": _mean(every, "utility"),
            }  # fmt: skip

    def _bounds(self, judge: Asked, split: str) -> Iterator[Row]:
        told = self._window(judge, seed_tree())
        usual = Counter(row["mechanism"] for row in told).most_common(1)[0][0]
        count = int(self.plan["incidents"][split])
        rows = judge({"op": "bounds", "split": split, "stream": "exam", "count": count, "constant": usual})["rows"]
        yield {
            "kind": "bound", "split": split, "arm": "B6 constant", "says": usual,
            "mean_mitigate_s": _mean(rows, "constant_s"), "mechanism_right": _mean(rows, "constant_right"),
        }  # fmt: skip
        yield {"kind": "bound", "split": split, "arm": "B7 oracle", "mean_mitigate_s": _mean(rows, "oracle_s")}

    def _headline(self, split: str, results: Mapping[str, list[Rows]], *, complete: bool) -> Iterator[Row]:
        (before,) = results["B0 shipped skills"]
        weights = resampled([row["family"] for row in before], self.rng)
        for name, runs in results.items():
            if name == "B0 shipped skills":
                continue
            gained = reduction(_values([before], "mitigate_s")[0], _values(runs, "mitigate_s"), weights, self.rng)
            worse = {
                key: difference(_values([before], key)[0], _values(runs, key), weights, self.rng)
                for key in ("mechanism_right", "wrong_fix", "harm")
            }
            margin = -float(self.plan["constants"]["accuracy_margin"])
            gates = (
                worse["harm"].estimate <= 0
                and worse["mechanism_right"].low >= margin
                and (worse["wrong_fix"].estimate <= 0)
            )
            yield {
                "kind": "reduction", "split": split, "arm": name,
                "reduction": round(gained.estimate, 4), "low": round(gained.low, 4), "high": round(gained.high, 4),
                **{f"{key}_change": [round(one.estimate, 4), round(one.low, 4), round(one.high, 4)]
                   for key, one in worse.items()},
                "gates_hold": gates,
                "wording": wording(gained.estimate, gained.low, gates_hold=gates,
                                   complete=complete and name == "loop" and split == "test"),
            }  # fmt: skip

    def _strata(self, split: str, results: Mapping[str, list[Rows]]) -> Iterator[Row]:
        (before,) = results["B0 shipped skills"]
        for name in sorted({stratum for row in before for stratum in row["strata"]}):
            old = [row for row in before if name in row["strata"]]
            new = [row for run in results["loop"] for row in run if name in row["strata"]]
            yield {
                "kind": "stratum", "split": split, "stratum": name, "incidents": len(old),
                "mean_mitigate_s": [_mean(old, "mitigate_s"), _mean(new, "mitigate_s")],
                "mechanism_right": [_mean(old, "mechanism_right"), _mean(new, "mechanism_right")],
                "wrong_fix": [_mean(old, "wrong_fix"), _mean(new, "wrong_fix")],
                "harm": [_mean(old, "harm"), _mean(new, "harm")],
            }  # fmt: skip

    def _curve(self, judge: Asked, done: Sequence[int]) -> Iterator[Row]:
        """Of the stored candidates, after the run: nothing of it was seen by a loop."""
        known: dict[str, float] = {}
        for rounds in range(0, self.rounds + 1, CURVE_EVERY):
            values = []
            for seed in done:
                tree = self._champion(f"loop-{seed}", rounds)
                if tree not in known:
                    known[tree] = _mean(self._exam(judge, tree, "test"), "mitigate_s")
                values.append(known[tree])
            yield {"kind": "curve", "rounds": rounds, "mean_mitigate_s": round(statistics.mean(values), 1),
                   "by_seed": [round(value, 1) for value in values]}  # fmt: skip

    def _operators(self, done: Sequence[int]) -> Iterator[Row]:
        gains: dict[str, list[float]] = {}
        for seed in done:
            for one in _state(self.folder / f"loop-{seed}").kept:
                gains.setdefault(one.edit["op"], []).append(one.mean)
        for op, values in sorted(gains.items(), key=lambda item: -sum(item[1])):
            yield {"kind": "operator", "op": op, "kept": len(values), "validation_gain": round(sum(values), 4)}

    def _winner(self, judge: Asked, done: Sequence[int]) -> Iterator[Row]:
        """What the gate measured when it kept, against what the sealed families show."""
        before = _mean(self._exam(judge, self._known(seed_tree()), "test"), "utility")
        for seed in done:
            state = _state(self.folder / f"loop-{seed}")
            test = _mean(self._exam(judge, self._champion(f"loop-{seed}"), "test"), "utility") - before
            seen = sum(one.mean for one in state.kept)
            yield {
                "kind": "winners_curse", "seed": seed,
                "validation_gain": round(seen, 4), "test_gain": round(test, 4), "curse": round(seen - test, 4),
            }  # fmt: skip

    def _aa(self, judge: Asked, tree: str, *, runs: int = AA_RUNS, incidents: int = AA_INCIDENTS) -> Row:
        """The shipped skills against themselves, on different incidents, so that there is something to err about."""
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


def _values(runs: Sequence[Rows], key: str) -> np.ndarray:
    return np.array([[float(row[key]) for row in run] for run in runs])


def _mean(rows: Rows, key: str) -> float:
    return round(statistics.fmean(float(row[key]) for row in rows), 4) if rows else 0.0


def _words(row: Row) -> str:
    row = dict(row)
    kind = row.pop("kind")
    return f"{kind:14} " + "  ".join(f"{name}={value}" for name, value in row.items() if name != "hashes")


def _progress(text: str) -> None:
    click.echo(text, err=True)
