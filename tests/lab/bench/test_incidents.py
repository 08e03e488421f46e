from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from agent.replay.utility import CAP_S
from connectors.runbooks import skills
from lab.bench.incidents import Scored, Verdict, in_words, incidents, mean_by_family, measured, share
from lab.recordings import library
from lab.recordings.splits import SPLITS
from tests.agent.replay.cases import MADE, case
from tests.lab.recordings.examples import recording

if TYPE_CHECKING:
    from pathlib import Path

    from lab.recordings.recording import Recording

SOME = ("missing_index", "bad_deploy", "traffic_surge", "cpu_saturation")


def _recordings() -> list[Recording]:
    return [
        recording(f"{mechanism.replace('_', '-')}-{number:03d}", mechanism=mechanism, alert=MADE[mechanism].alerts[0])
        for mechanism in SOME
        for number in (1, 2)
    ]


def _rows(**more: Any) -> list[dict[str, Any]]:
    return list(measured(_recordings(), skills(), **{"cases": 12, "seed": 0, "full": False, **more}))


def _scored(family: str, mitigate_s: float) -> Scored:
    verdict = Verdict(None, None, False, False, mitigate_s=mitigate_s)
    one = case("missing_index")
    return Scored(type(one)(**{**_fields(one), "family": family}), verdict, 0.0, 0.0)


def _fields(one: object) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}  # type: ignore[attr-defined]  # a slotted dataclass


def test_every_split_has_the_agent_and_its_baselines() -> None:
    rows = [row for row in _rows() if row["kind"] == "result" and row["stratum"] == "all"]

    assert {row["method"] for row in rows} == {"stanch", "alerting service", "most frequent cause", "nsigma"}
    assert {row["split"] for row in rows} == {"recorded", *SPLITS}
    assert all(row["cases"] == (8 if row["split"] == "recorded" else 12) for row in rows)


def test_a_missing_index_is_named_and_repaired_and_no_baseline_acts() -> None:
    rows = _rows()
    fault = next(row for row in rows if row["kind"] == "fault" and row["stratum"] == "missing-index")

    assert fault["mechanism"]["share"] == 1.0
    assert fault["acted"] == 2
    assert fault["wrong_fixes"]["right"] == 0
    assert all(row["acted"] == 0 for row in rows if row.get("method") not in {"stanch", None})


def test_the_alerting_service_is_right_about_who_and_silent_about_what() -> None:
    row = next(row for row in _rows() if row.get("method") == "alerting service" and row["split"] == "recorded")

    assert row["component"]["right"] > 0
    assert row["mechanism"]["right"] == 0
    assert row["mitigate_s"]["mean"] == CAP_S


def test_the_same_seed_gives_the_same_figures() -> None:
    def figures() -> list[dict[str, Any]]:
        timing = {"ms", "ms_p95", "cpu_ms", "first_cpu_ms", "load", "yardstick_cpu_ms"}
        return [{name: value for name, value in row.items() if name not in timing} for row in _rows()]

    assert figures() == figures()


def test_full_works_every_answer_out_anew() -> None:
    (row,) = [row for row in _rows(full=True) if row["kind"] == "full"]

    assert row["answers"] == sum(len(said) for one in _recordings() for said in one.answers.values())
    assert 0 < row["answers_alike"] <= row["answers"]


def test_a_share_has_wilsons_interval() -> None:
    found = share([True] * 8 + [False] * 2)

    assert (found["right"], found["of"], found["share"]) == (8, 10, 0.8)
    assert found["low"] == pytest.approx(0.4902, abs=1e-4)
    assert found["high"] == pytest.approx(0.9433, abs=1e-4)
    assert share([])["share"] is None


def test_families_are_what_is_drawn_for_the_interval_of_a_mean() -> None:
    alike = [_scored("a", 100.0)] * 50 + [_scored("b", 300.0)] * 50
    found = mean_by_family(alike)

    assert found == {"mean": 200.0, "low": 100.0, "high": 300.0}
    assert mean_by_family([])["mean"] is None


def test_a_row_reads_as_one_line() -> None:
    rows = _rows()

    assert in_words(rows[0]).startswith("8 recordings of 4 faults")
    assert all("\n" not in in_words(row) for row in rows[1:])
    json.dumps(rows, allow_nan=False)


def test_the_command_prints_json_lines(tmp_path: Path) -> None:
    for one in _recordings():
        library.add(tmp_path, one)
    result = CliRunner().invoke(incidents, ["--recordings", str(tmp_path), "--cases", "3", "--json"])

    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[0]["kind"] == "conditions"
    assert rows[0]["recordings"] == 8
