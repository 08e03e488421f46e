from __future__ import annotations

from typing import Any

from agent.database.advisor.definition import Definition, column_key
from agent.database.advisor.trial import Trial
from agent.database.snapshot import Plan

INDEX = Definition("public", "orders", (column_key("created_at"),))


def trial(scan: dict[str, Any], *above: str, limit_cost: float = 10.0) -> Trial:
    """A scan by the index below these nodes."""
    node: dict[str, Any] = {"Node Type": "Index Scan", "Index Name": "<1>x", "Total Cost": 40_000.0, **scan}
    for kind in above:
        node = {"Node Type": kind, "Total Cost": limit_cost, "Plans": [node]}
    return Trial(Plan(node), {"<1>x": INDEX}, {})


def test_a_limit_over_a_filter_is_not_believed_to_stop_early() -> None:
    hoped = trial({"Filter": "(status = 'open')"}, "Limit")
    assert hoped.cost == 10.0
    assert 600 < hoped.cautious_cost < 700  # the geometric mean of 10 and 40,000


def test_a_limit_over_what_the_index_finds_itself_is_believed() -> None:
    assert trial({"Index Cond": "(customer_id = 1)"}, "Limit").cautious_cost == 10.0
    assert trial({"Filter": "(status <> 'done')"}, "Limit").cautious_cost == 10.0


def test_reading_a_whole_index_is_no_search() -> None:
    assert not trial({"Plan Rows": 900_000}).searches(INDEX, 1_000_000)
    assert trial({"Plan Rows": 900}).searches(INDEX, 1_000_000)


def test_beginning_to_read_it_is_one_as_long_as_nothing_sorts_on_the_way() -> None:
    assert trial({"Plan Rows": 900_000}, "Limit").searches(INDEX, 1_000_000)
    assert not trial({"Plan Rows": 900_000}, "Sort", "Limit").searches(INDEX, 1_000_000)
