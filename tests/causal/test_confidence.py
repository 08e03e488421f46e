from __future__ import annotations

from dataclasses import replace

from causal.confidence import CONFIDENT, Circumstances, probability

STRONG = Circumstances(first=6.0, second=1.0, evidence=3.0, usual=0.3, counted=1.0, target=2.0)


def test_a_clear_case_is_sure_and_an_empty_one_is_not() -> None:
    assert probability(STRONG) > 0.9
    assert probability(Circumstances(0.0, 0.0, 0.0, 0.0, 0.0, None)) < 0.1 < CONFIDENT


def test_every_doubt_lowers_it() -> None:
    sure = probability(STRONG)
    for doubt in (
        replace(STRONG, second=5.9),
        replace(STRONG, evidence=0.2),
        replace(STRONG, usual=3.0),
        replace(STRONG, counted=0.0),
        replace(STRONG, target=0.0),
    ):
        assert probability(doubt) < sure
