from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner

from causal.series import UnusableInput
from service.commands.rank import rank
from tests.causal.worlds import shop

if TYPE_CHECKING:
    from pathlib import Path


def case_folder(path: Path) -> Path:
    world = shop()
    path.mkdir()
    names = list(world.columns)
    lines = [",".join(["time", *names])]
    for i, time in enumerate(world.times):
        lines.append(",".join([str(time), *(repr(float(world.columns[name][i])) for name in names)]))
    (path / "metrics.csv").write_text("\n".join(lines), encoding="utf-8")
    edges = [[caller, callee] for caller, callees in world.graph.callees.items() for callee in callees]
    described = {"inject_time": world.change, "alert_time": None, "target": world.target, "graph": edges}
    (path / "case.json").write_text(json.dumps(described), encoding="utf-8")
    return path


def test_a_line_of_json_a_case(tmp_path: Path) -> None:
    done = CliRunner().invoke(rank, [str(case_folder(tmp_path / "slow-db")), "--json"])
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert set(answer) == {"case", "seconds", "abstained", "confidence", "services", "metrics"}
    assert answer["case"] == "slow-db"
    assert answer["services"][0]["service"] == "db"
    assert set(answer["metrics"][0]) == {"service", "metric", "score"}
    assert len({s["service"] for s in answer["services"]}) == len(answer["services"]) == 4


def test_a_bad_case_says_so_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = case_folder(tmp_path / "good")
    done = CliRunner().invoke(rank, [str(tmp_path / "missing"), str(good), "--json"])
    assert done.exit_code == 0
    bad, fine = (json.loads(line) for line in done.stdout.splitlines())
    assert bad["case"] == "missing"
    assert "no metrics.csv" in bad["error"]
    assert fine["services"][0]["service"] == "db"


def test_when_no_case_can_be_read_the_command_refuses(tmp_path: Path) -> None:
    done = CliRunner().invoke(rank, [str(tmp_path / "missing")])
    assert isinstance(done.exception, UnusableInput)
    assert "\n" not in str(done.exception)


def test_explaining_adds_paths_and_the_attribution(tmp_path: Path) -> None:
    done = CliRunner().invoke(rank, [str(case_folder(tmp_path / "slow-db")), "--json", "--explain"])
    answer = json.loads(done.stdout)
    assert answer["paths"][0] == ["web", "api", "db"]
    assert answer["attribution"]["shares"][0]["series"] == "db|latency"
    assert not answer["attribution"]["shares"][0]["refuted"]


def test_the_text_names_the_cause(tmp_path: Path) -> None:
    done = CliRunner().invoke(rank, [str(case_folder(tmp_path / "slow-db"))])
    assert done.stdout.startswith("slow-db: cause: db")


def test_the_command_starts_without_heavy_libraries() -> None:
    heavy = ("pandas", "scipy", "statsmodels", "dowhy", "fastapi", "celery", "psycopg")
    code = f"import sys, service.commands.rank, lab.bench.cases; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
