"""Root-cause ranking measured: our ranking beside six baselines on the same cases, system by system, never pooled."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections import defaultdict
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from causal.evidence import WEIGHTS, Weights
from causal.rank import rank
from causal.series import Frame, UnusableInput
from lab.bench.baselines import BASELINES
from lab.bench.cases import Case, fault_free, read_case
from lab.bench.worlds import FAULTS, QUIET, SHAPES, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from causal.rank import Ranking

SURE = 0.8  # answers given with at least this are counted apart
OFFSETS_S = (-120.0, 120.0)
FACTORS = (0.5, 1.0, 2.0)  # of each weight, tried when a system is left out

Row = dict[str, Any]


@click.command("rca", epilog="\b\nExample:\n  stanch bench rca cases/ --json > rca.jsonl")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of a table.")
@click.option("--worlds", default=3, show_default=True, help="Generated systems of each shape and event.")
@click.option("--explain", default=0, show_default=True, help="Cases of each system to attribute too, timed apart.")
@click.option("--curve/--no-curve", default=True, show_default=True, help="Time and memory at 100 to 10,000 series.")
def rca(folder: Path | None, *, as_json: bool, worlds: int, explain: int, curve: bool) -> None:
    """Rank the cases under DIR and generated ones, beside the baselines. Progress on stderr."""
    cases = [*(_read(folder) if folder else []), *_generated(worlds)]
    if not cases:
        raise UnusableInput("there is no case to rank: give a DIR with case folders, or --worlds")
    systems: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        systems[case.system].append(case)
    for row in _measure(systems, explain=explain, curve=curve):
        click.echo(json.dumps(row, allow_nan=False) if as_json else _words(row))


def _measure(systems: dict[str, list[Case]], *, explain: int, curve: bool) -> Iterator[Row]:
    for system, cases in systems.items():
        known = [case for case in cases if case.cause is not None]
        _progress(f"{system}: {len(known)} cases")
        results = [_timed(case) for case in known]
        yield from (_case_row(result) for result in results)
        yield _accuracy(system, "stanch", [(r.case, r.order, r.seconds) for r in results])
        for name, baseline in BASELINES.items():
            yield _accuracy(system, name, [_run(case, baseline) for case in known])
        yield _sureness(system, results)
        quiet = [case for case in cases if case.cause is None] + [cut for case in known for cut in fault_free(case)]
        yield _quiet(system, quiet)
        yield from _displaced(system, known)
        for case in known[:explain]:
            yield _explained(case)
    declared = {system: cases for system, cases in systems.items() if not system.startswith("generated")}
    if len(declared) > 1:
        yield from _left_out(declared)
    if curve:
        yield from _curve()


@dataclass(frozen=True, slots=True)
class _Result:
    case: Case
    ranking: Ranking
    seconds: float

    @property
    def order(self) -> list[str]:
        return [service.service for service in self.ranking.services]

    @property
    def right(self) -> bool:
        return self.order[:1] == [self.case.cause]


def _ranking(case: Case, weights: Weights = WEIGHTS) -> Ranking:
    return rank(
        case.frame,
        inject_time=case.inject_time,
        alert_time=case.alert_time,
        target=case.target,
        graph=case.graph,
        weights=weights,
    )


def _timed(case: Case) -> _Result:
    began = time.perf_counter()
    ranking = _ranking(case)
    return _Result(case, ranking, time.perf_counter() - began)


def _run(case: Case, method: Callable[[Case], list[str]]) -> tuple[Case, list[str], float]:
    began = time.perf_counter()
    order = method(case)
    return case, order, time.perf_counter() - began


def _case_row(result: _Result) -> Row:
    case, order = result.case, result.order
    return {
        "kind": "case",
        "system": case.system,
        "case": case.name,
        "fault": case.fault,
        "cause": case.cause,
        "rank": order.index(case.cause) + 1 if case.cause in order else None,
        "first": order[0] if order else None,
        "confidence": round(result.ranking.confidence, 3),
        "abstained": result.ranking.abstained,
    }


def _accuracy(system: str, method: str, found: Sequence[tuple[Case, list[str], float]]) -> Row:
    """AC@k: share of cases with the cause among the first k; Avg@5: mean of AC@1 to AC@5."""
    at = [np.mean([case.cause in order[:k] for case, order, _ in found]) for k in range(1, 6)] if found else []
    return {
        "kind": "method",
        "system": system,
        "method": method,
        "cases": len(found),
        "ac1": _share(at[0]) if at else None,
        "ac3": _share(at[2]) if at else None,
        "ac5": _share(at[4]) if at else None,
        "avg5": _share(np.mean(at)) if at else None,
        "seconds_p95": round(float(np.quantile([s for _, _, s in found], 0.95)), 4) if found else None,
    }


def _sureness(system: str, results: Sequence[_Result]) -> Row:
    """How often answers were given, and right; for faults in code alone, how often not."""
    answered = [r for r in results if not r.ranking.abstained]
    sure = [r for r in results if r.ranking.confidence >= SURE]
    code = [r for r in results if r.case.fault in {"exception", "return"}]
    return {
        "kind": "sureness",
        "system": system,
        "cases": len(results),
        "answered": len(answered),
        "answered_right": sum(r.right for r in answered),
        "sure": len(sure),
        "sure_right": sum(r.right for r in sure),
        "code_faults": len(code),
        "code_faults_abstained": sum(r.ranking.abstained for r in code),
    }


def _quiet(system: str, cases: Sequence[Case]) -> Row:
    """`distinct` windows: cases of one system often share their normal period."""
    by_fault: dict[str, int] = defaultdict(int)
    seen = set()
    for case in cases:
        by_fault[case.fault or "cut"] += not _ranking(case).abstained
        seen.add((case.fault, float(np.nansum(case.frame.values[-5:])), len(case.frame.times)))
    confident = dict(sorted(by_fault.items()))
    return {
        "kind": "fault-free",
        "system": system,
        "windows": len(cases),
        "distinct": len(seen),
        "confident": confident,
    }


def _displaced(system: str, cases: Sequence[Case]) -> Iterator[Row]:
    """The same cases with a fault time that is off, and with none (the change is then looked for)."""
    for offset in (*OFFSETS_S, None):
        moved = [
            replace(case, inject_time=None if offset is None or case.inject_time is None else case.inject_time + offset)
            for case in cases
        ]
        row = _accuracy(system, "stanch", [(case, _timed(case).order, 0.0) for case in moved])
        yield row | {"kind": "displaced", "offset_s": offset, "seconds_p95": None}


def _explained(case: Case) -> Row:
    from causal.attribution import Attribution, attribute, preload  # noqa: PLC0415  only when asked for

    preload()
    ranking = _ranking(case)
    began = time.perf_counter()
    found = attribute(case.frame, ranking, case.graph, case.target or "", 0) if case.target else None
    seconds = round(time.perf_counter() - began, 2)
    row = {"kind": "explained", "system": case.system, "case": case.name, "seconds": seconds, "cause": case.cause}
    if not isinstance(found, Attribution) or not found.shares:
        return row | {"largest": None, "refuted": None}
    return row | {"largest": found.shares[0].series.service, "refuted": found.shares[0].refuted}


def _left_out(systems: dict[str, list[Case]]) -> Iterator[Row]:
    """Each weight halved, kept or doubled by what serves the other systems best, then scored on the one left out."""
    tried = list(_variants())
    scores = {
        name: [_mean_accuracy(cases, weights) for weights in tried] for name, cases in systems.items() if _told(name)
    }
    for name in systems:
        others = np.sum([scores[other] for other in systems if other != name], axis=0)
        chosen = int(np.argmax(others[:, 0] + others[:, 1]))
        first, average = scores[name][chosen]
        differs = {f.name: getattr(tried[chosen], f.name) for f in fields(Weights)} if tried[chosen] != WEIGHTS else {}
        yield {"kind": "left out", "system": name, "ac1": _share(first), "avg5": _share(average), "chosen": differs}


def _variants() -> Iterator[Weights]:
    """The weights as they are come first, so that ties keep them."""
    yield WEIGHTS
    for weight in fields(Weights):
        for factor in FACTORS:
            if factor != 1.0:
                yield replace(WEIGHTS, **{weight.name: getattr(WEIGHTS, weight.name) * factor})


def _mean_accuracy(cases: Sequence[Case], weights: Weights) -> tuple[float, float]:
    orders = [(case, [s.service for s in _ranking(case, weights).services]) for case in cases if case.cause]
    at = [float(np.mean([case.cause in order[:k] for case, order in orders])) for k in range(1, 6)]
    return at[0], float(np.mean(at))


def _told(system: str) -> bool:
    _progress(f"left out: {system}")
    return True


def _curve() -> Iterator[Row]:
    """600 samples of noise with one fault; peak memory as a multiple of the input array."""
    rng = np.random.default_rng(0)
    for series in (100, 1_000, 10_000):
        _progress(f"curve: {series} series")
        values = rng.normal(size=(600, series))
        values[500:, 0] += 20
        frame = Frame.from_columns(np.arange(600.0), {f"s{j // 20}|m{j % 20}": values[:, j] for j in range(series)})
        began = time.process_time()
        rank(frame, inject_time=500.0)
        seconds = time.process_time() - began
        tracemalloc.start()
        rank(frame, inject_time=500.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        times = round(peak / frame.values.nbytes, 2)
        yield {
            "kind": "curve",
            "series": series,
            "rows": 600,
            "cpu_seconds": round(seconds, 3),
            "peak_over_input": times,
        }


def _read(folder: Path) -> Iterator[Case]:
    """Every case folder under DIR; one that cannot be read is named on stderr and left out."""
    for described in sorted(folder.rglob("case.json")):
        try:
            yield read_case(described.parent)
        except UnusableInput as error:
            _progress(str(error))


def _generated(worlds: int) -> Iterator[Case]:
    for graph in (True, False):
        for shape in SHAPES:
            for event in (*FAULTS, *QUIET):
                for seed in range(worlds):
                    yield generate(seed, event, shape=shape, graph=graph)


def _share(value: float | np.floating[Any]) -> float:
    return round(float(value), 3)


def _progress(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201  progress, beside the results on stdout


def _words(row: Row) -> str:
    return "  ".join(f"{key}={value}" for key, value in row.items() if value is not None)
