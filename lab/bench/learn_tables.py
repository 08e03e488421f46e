"""The rows of the learning bench: what the arms did on one split, and what one gains over another."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.learning.preregistration import constants, wording
from agent.replay.utility import CAP_S
from lab.bench.intervals import Interval, difference, holm, reduction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row = dict[str, Any]
Rows = list[Row]
Results = dict[str, list[Rows]]
"""Rows of the examination by arm, one list a run."""

SHIPPED, HAND, PLACEBO, LOOP = "B0 shipped skills", "B1 hand-tuned", "B4 placebo", "loop"
UNTUNED, REACHED = "B0 untuned skills", "shipped skills"
"""Of the run that begins without what tuning put into the skills; what it could find again is in the shipped ones."""
LEVEL = 0.05
KEYS = ("mechanism_right", "wrong_fix", "harm")


def arm_rows(split: str, results: Results) -> Iterator[Row]:
    for name, runs in results.items():
        every = [row for run in runs for row in run]
        benign = [row for row in every if "benign" in row["strata"]]
        acted = [row for row in every if row["acted"]]
        yield {
            "kind": "arm", "split": split, "arm": name, "runs": len(runs), "incidents": len(runs[0]),
            "families": len({row["family"] for row in runs[0]}),
            "mean_mitigate_s": mean(every, "mitigate_s"),
            "median_mitigate_s": round(statistics.median(row["mitigate_s"] for row in every), 1),
            "mechanism_right": mean(every, "mechanism_right"),
            "component_right": mean(every, "component_right"),
            "wrong_fixes_of_fixes": round(sum(r["wrong_fix"] for r in acted) / len(acted), 4) if acted else None,
            "wrong_fix": mean(every, "wrong_fix"), "harm": mean(every, "harm"),
            "acted_on_benign": sum(row["acted"] for row in benign), "benign": len(benign),
            "abstained": mean(every, "abstained"), "asked": mean(every, "asked"),
            "utility": mean(every, "utility"),
        }  # fmt: skip


def base(results: Results) -> str:
    """The arm that the loop began with."""
    return SHIPPED if SHIPPED in results else UNTUNED


def reductions(
    split: str, results: Results, weights: np.ndarray, rng: np.random.Generator, plan: Mapping[str, Any], *,
    complete: bool,
) -> Iterator[Row]:  # fmt: skip
    """Every arm against what the loop began with, then the loop against the tuned skills and against the placebo."""
    begun = base(results)
    pairs = [(begun, name) for name in results if name != begun]
    pairs += [(against, LOOP) for against in (HAND, REACHED, PLACEBO) if against in results and LOOP in results]
    for against, name in pairs:
        gained, changes = _compared(results, against, name, weights, rng)
        gates = gates_hold(changes, plan)
        claimed = complete and (split, name, against) == ("test", LOOP, SHIPPED)
        yield {
            "kind": "reduction", "split": split, "arm": name, "against": against,
            "reduction": round(gained.estimate, 4), "low": round(gained.low, 4), "high": round(gained.high, 4),
            **{f"{key}_change": [round(one.estimate, 4), round(one.low, 4), round(one.high, 4)]
               for key, one in changes.items()},
            "gates_hold": gates,
            "wording": wording(gained.estimate, gained.low, gates_hold=gates, complete=True)
            if claimed else f"{'beside the claim' if complete else 'not the registered run'}: nothing is claimed",
        }  # fmt: skip


def superiority(
    split: str, results: Results, weights: np.ndarray, rng: np.random.Generator, plan: Mapping[str, Any]
) -> Iterator[Row]:
    """What the loop does better than what it began with, by Holm over three questions; nothing where a gate is missed.

    p: one-sided, of the bootstrap.
    """
    gained, changes = _compared(results, base(results), LOOP, weights, rng)
    gates = gates_hold(changes, plan)
    asked = {
        "less time to mitigate": gained.not_above,
        "more mechanisms right": changes["mechanism_right"].not_above,
        "fewer wrong fixes": changes["wrong_fix"].not_below,
    }
    for (what, p), adjusted in zip(asked.items(), holm(list(asked.values())), strict=True):
        yield {"kind": "superiority", "split": split, "what": what, "p": round(p, 5), "p_holm": round(adjusted, 5),
               "shown": gates and adjusted <= LEVEL}  # fmt: skip


def _compared(
    results: Results, against: str, name: str, weights: np.ndarray, rng: np.random.Generator
) -> tuple[Interval, dict[str, Interval]]:
    """Of several runs that are compared against, each incident's mean counts."""
    before, after = results[against], results[name]
    gained = reduction(_one(before, "mitigate_s"), _values(after, "mitigate_s"), weights, rng)
    return gained, {key: difference(_one(before, key), _values(after, key), weights, rng) for key in KEYS}


def gates_hold(changes: Mapping[str, Interval], plan: Mapping[str, Any]) -> bool:
    """Harm, then accuracy, then wrong fixes: none worse than the registration allows."""
    margin = -float(plan["constants"]["accuracy_margin"])
    return (
        changes["harm"].estimate <= 0
        and changes["mechanism_right"].low >= margin
        and changes["wrong_fix"].estimate <= 0
    )


def strata(split: str, results: Results) -> Iterator[Row]:
    (before,) = results[base(results)]
    for name in sorted({stratum for row in before for stratum in row["strata"]}):
        old = [row for row in before if name in row["strata"]]
        new = [row for run in results[LOOP] for row in run if name in row["strata"]]
        yield {
            "kind": "stratum", "split": split, "stratum": name, "incidents": len(old),
            **{key: [mean(old, key), mean(new, key)] for key in ("mitigate_s", *KEYS)},
        }  # fmt: skip


def sensitivity(split: str, results: Results, weights: np.ndarray) -> Iterator[Row]:
    """What the loop gains in utility when one of its weights is half of what it is, or half as much again: whether the
    gain hangs on a judgement. times 1: as registered.
    """
    usual: dict[str, float] = constants()["weights"]
    before, after = _parts(results[base(results)], usual), _parts(results[LOOP], usual)
    tried = [("none", 1.0), *((name, factor) for name in usual for factor in (0.5, 1.5))]
    for name, factor in tried:
        weighed = {one: weight * (factor if one == name else 1.0) for one, weight in usual.items()}
        old, new = _utility(before, weighed), _utility(after, weighed)
        gained = difference(old.mean(axis=0), new, weights, np.random.default_rng(0))
        yield {
            "kind": "sensitivity", "split": split, "weight": name, "times": factor, "gain": round(gained.estimate, 4),
            "low": round(gained.low, 4), "high": round(gained.high, 4),
        }  # fmt: skip


def _parts(runs: list[Rows], usual: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Of the utility, by its weights' names, (runs, incidents). An examination tells no calibration: it is what the
    utility holds beyond the others, and not known where harm took everything.
    """
    parts = {
        "time": 1 - _values(runs, "mitigate_s") / CAP_S,
        "cause": _values(runs, "mechanism_right") * _values(runs, "component_right"),
        "no_wrong_fix": 1 - _values(runs, "wrong_fix"),
        "harm": -_values(runs, "harm"),
    }
    others = sum(usual[name] * part for name, part in parts.items())
    calibration = (_values(runs, "utility") - others) / usual["calibration"]
    return {**parts, "calibration": np.clip(calibration, 0.0, 1.0)}


def _utility(parts: Mapping[str, np.ndarray], weighed: Mapping[str, float]) -> np.ndarray:
    return np.clip(sum(weighed[name] * part for name, part in parts.items()), 0.0, 1.0)


def _values(runs: list[Rows], key: str) -> np.ndarray:
    return np.array([[float(row[key]) for row in run] for run in runs])


def _one(runs: list[Rows], key: str) -> np.ndarray:
    return np.asarray(_values(runs, key).mean(axis=0))


def mean(rows: Rows, key: str) -> float:
    return round(statistics.fmean(float(row[key]) for row in rows), 4) if rows else 0.0
