from __future__ import annotations

import numpy as np

from lab.bench.build import _Span


def span(began: float, ended: float) -> _Span:
    return _Span("plain", "finished", began - 10.0, began, ended, 0, 0, 0.0)


def steady(start: float, end: float, per_s: float) -> np.ndarray:
    moments = np.arange(start, end, 1.0 / per_s)
    return np.column_stack((moments, np.full(len(moments), 2.0)))


def test_a_stall_is_a_gap_of_its_whole_length() -> None:
    commits = np.vstack((steady(0, 12, 100), steady(16, 20, 100)))
    found = span(10.0, 20.0).figures(commits, 1000)
    assert abs(found.longest_gap_s - 4.0) < 0.02
    assert abs(found.tps_share - 0.6) < 0.01
    assert (found.p50_ms_before, found.p99_ms_during) == (2.0, 2.0)


def test_a_build_in_which_nothing_was_written_is_one_gap() -> None:
    found = span(10.0, 15.0).figures(steady(0, 10, 100), 1000)
    assert (found.longest_gap_s, found.tps_during, found.tps_share) == (5.0, 0.0, 0.0)


def test_a_steady_load_has_no_gap() -> None:
    found = span(10.0, 15.0).figures(steady(0, 20, 400), 1000)
    assert found.longest_gap_s < 0.01
    assert abs(found.tps_share - 1.0) < 0.01
