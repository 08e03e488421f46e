"""rank: which service did it, for folders of metrics."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from causal.rank import rank as rank_causes
from causal.series import UnusableInput

if TYPE_CHECKING:
    from causal.attribution import Attribution, NotAttributed
    from causal.rank import Ranking
    from lab.bench.cases import Case

EPILOG = """\b
Examples:
  stanch rank cases/checkout-slow                the cause, in words
  stanch rank cases/* --json                     one line of JSON a case
  stanch rank cases/checkout-slow --explain      with attribution, interval and refutation (loads dowhy, seconds)
"""


@click.command("rank", epilog=EPILOG)
@click.argument("cases", metavar="CASE_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a case on stdout.")
@click.option("--explain", is_flag=True, help="Add what was ruled out, paths and the attribution of the alert.")
@click.option("--seed", default=0, show_default=True, help="Of the attribution's bootstrap, and of exact ties.")
def rank(cases: tuple[Path, ...], *, as_json: bool, explain: bool, seed: int) -> None:
    """Rank the root causes in each CASE_DIR (metrics.csv or .gz, case.json). A bad case says so, the rest goes on."""
    from lab.bench.cases import read_case

    unusable: list[UnusableInput] = []
    for folder in cases:
        try:
            case = read_case(folder)
            began = time.perf_counter()
            ranking = _rank(case, seed)
            seconds = time.perf_counter() - began
        except UnusableInput as error:
            unusable.append(error)
            click.echo(_line({"case": folder.name, "error": str(error)}) if as_json else str(error))
            continue
        attribution = _explain(case, ranking, seed) if explain else None
        if as_json:
            click.echo(_line(_answer(case, ranking, seconds) | (_explanation(ranking, attribution) if explain else {})))
        else:
            from causal.report import as_text

            click.echo(f"{case.name}: {as_text(ranking, attribution)}")
    if len(unusable) == len(cases):
        raise UnusableInput(f"no case could be ranked: {unusable[0]}")


def _rank(case: Case, seed: int) -> Ranking:
    return rank_causes(
        case.frame,
        inject_time=case.inject_time,
        alert_time=case.alert_time,
        target=case.target,
        graph=case.graph,
        seed=seed,
    )


def _answer(case: Case, ranking: Ranking, seconds: float) -> dict[str, Any]:
    from causal.report import MAX_METRICS

    return {
        "case": case.name,
        "seconds": round(seconds, 4),
        "abstained": ranking.abstained,
        "confidence": ranking.confidence,
        "services": [{"service": s.service, "probability": s.probability, "score": s.score} for s in ranking.services],
        "metrics": [
            {"service": m.service, "metric": m.metric, "score": m.score} for m in ranking.metrics[:MAX_METRICS]
        ],
    }


def _explain(case: Case, ranking: Ranking, seed: int) -> Attribution | NotAttributed:
    from causal.attribution import NotAttributed, attribute

    if case.target is None:
        return NotAttributed("the case names no alerting series")
    return attribute(case.frame, ranking, case.graph, case.target, seed)


def _explanation(ranking: Ranking, attribution: Attribution | NotAttributed | None) -> dict[str, Any]:
    from causal.report import as_data

    data = as_data(ranking, attribution)
    return {key: data[key] for key in ("change", "ruled_out", "not_visible", "paths", "attribution")}


def _line(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False, allow_nan=False)
