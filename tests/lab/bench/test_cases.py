from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal.series import UnusableInput
from lab.bench.cases import fault_free, read_case
from lab.bench.worlds import generate

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "time,web|latency|Average,api|cpu\n"
ROWS = "20,2,\n10,1,5\n"


def folder(path: Path, metrics: str = HEAD + ROWS, case: object = None) -> Path:
    path.mkdir()
    (path / "metrics.csv").write_text(metrics, encoding="utf-8")
    described = case if case is not None else {"inject_time": 20, "target": "web|latency|Average", "extra": 1}
    (path / "case.json").write_text(json.dumps(described), encoding="utf-8")
    return path


def test_a_case_is_read_and_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    case = read_case(folder(tmp_path / "slow"))
    assert case.name == "slow"
    assert case.inject_time == 20.0
    assert case.frame.times.tolist() == [10.0, 20.0]
    assert str(case.frame.names[0]) == "web|latency|Average"
    assert np.isnan(case.frame.values[1, 1])
    assert not case.graph


def test_packed_metrics_are_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "slow")
    (path / "metrics.csv").unlink()
    with gzip.open(path / "metrics.csv.gz", "wt", encoding="utf-8") as packed:
        packed.write(HEAD + ROWS)
    assert len(read_case(path).frame.times) == 2


@pytest.mark.parametrize(
    ("metrics", "case", "words"),
    [
        ("", None, "no column named time"),
        ("when,a|x\n1,2\n", None, "no column named time"),
        (HEAD, None, "no samples"),
        ("time\n1\n", None, "no series"),
        (HEAD + "1,2\n", None, "a row has 2 cells"),
        (HEAD + "1,2,many\n", None, "'many' is not a number"),
        ("time,a|x,a|x\n1,2,3\n", None, "the same name"),
        (HEAD + ROWS, [], "not an object"),
        (HEAD + ROWS, {"inject_time": "noon"}, "inject_time is not a time"),
        (HEAD + ROWS, {"target": 7}, "target is not a text"),
        (HEAD + ROWS, {"graph": [["a"]]}, "not a list of"),
        (HEAD + ROWS, {"graph": "a->b"}, "not a list of"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, metrics: str, case: object, words: str) -> None:
    with pytest.raises(UnusableInput, match=words) as caught:
        read_case(folder(tmp_path / "bad", metrics, case))
    assert str(caught.value).startswith("bad: ")
    assert "\n" not in str(caught.value)


def test_a_folder_without_metrics_or_with_torn_ones_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="there is no metrics"):
        read_case(tmp_path)
    torn = folder(tmp_path / "torn")
    (torn / "metrics.csv").unlink()
    (torn / "metrics.csv.gz").write_bytes(b"\x1f\x8b\x08 not really")
    with pytest.raises(UnusableInput, match="cannot be read"):
        read_case(torn)


def test_fault_free_cuts_end_before_the_fault() -> None:
    case = generate(1, "cpu", shape="chain")
    assert case.inject_time is not None
    cuts = fault_free(case)
    assert len(cuts) >= 3
    assert all(cut.frame.times[-1] < case.inject_time and cut.cause is None for cut in cuts)


@pytest.mark.parametrize("shape", ["chain", "fan", "layers", "random"])
def test_a_generated_world_is_the_same_for_the_same_seed_and_knows_its_cause(shape: str) -> None:
    one, two = generate(4, "latency", shape=shape), generate(4, "latency", shape=shape)
    assert np.array_equal(one.frame.values, two.frame.values, equal_nan=True)
    assert one.cause in one.frame.services
    assert generate(4, "surge", shape=shape).cause is None
