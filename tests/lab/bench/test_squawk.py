from __future__ import annotations

import pytest

from guardrails.rules.registry import RULES
from lab.bench.squawk import COMPATIBILITY, NO_DANGER, OURS_ALONE, Comparison, NoSquawk, compare, corpus, find_squawk


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    try:
        find_squawk()
    except NoSquawk as error:
        pytest.skip(str(error))
    return compare(corpus())


def test_the_corpus_is_large_and_nothing_stands_in_it_twice() -> None:
    assert len(corpus()) >= 300
    assert len(set(corpus())) == len(corpus())


def test_what_squawk_finds_dangerous_is_refused(comparison: Comparison) -> None:
    assert comparison.dangerous >= 100
    assert comparison.recall >= 0.95, comparison.missed


def test_little_is_refused_that_squawk_finds_no_danger_in(comparison: Comparison) -> None:
    assert comparison.scripts - comparison.dangerous >= 100
    assert comparison.false_alarms <= 0.05, comparison.besides
    assert comparison.alone == len(comparison.besides), comparison.besides


def test_no_rule_is_left_out_twice_and_ours_exist() -> None:
    assert not NO_DANGER.keys() & COMPATIBILITY.keys()
    assert OURS_ALONE.keys() <= {rule.name for rule in RULES if rule.level == "refuse"}
