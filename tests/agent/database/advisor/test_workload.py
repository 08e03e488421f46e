from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.database.advisor.candidates import Extensions
from agent.database.advisor.workload import Weighed, WorkloadAdvice, advise_workload
from tests.agent.database.advisor.shop import ORDERS, CostTable, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.database.advisor.definition import Definition
    from agent.database.advisor.trial import Trial
    from agent.database.snapshot import NotVisible

ONE = "SELECT id FROM orders WHERE customer_id = $1"
TWO = "SELECT id FROM orders WHERE customer_id = $1 AND created_at > $2"
OTHER = "SELECT id FROM orders WHERE shop_id = $1"
COSTS = {
    ("orders (customer_id)",): 300.0,
    ("orders (customer_id, created_at)",): 10.0,
    ("orders (shop_id)",): 20.0,
}


class Several(CostTable):
    """The same tables, each statement by its own costs."""

    def __init__(self, by_text: dict[str, dict[Any, float]], **more: Any) -> None:
        super().__init__({}, **more)
        self.by_text = by_text

    def trial(self, plannable: str, definitions: Sequence[Definition]) -> Trial | NotVisible:
        self.costs = self.by_text[plannable]
        return super().trial(plannable, definitions)


def advised(workload: dict[str, float], planner: CostTable, budget_bytes: int | None = None) -> WorkloadAdvice:
    weighed = [Weighed(str(n), sql, None, 100, ms) for n, (sql, ms) in enumerate(workload.items())]
    return advise_workload(weighed, planner, extensions=Extensions(), budget_bytes=budget_bytes)


def bodies(advice: WorkloadAdvice) -> list[str]:
    return [written(one.definition) for one in advice.indexes]


def planner(**more: Any) -> Several:
    customer = {key: cost for key, cost in COSTS.items() if "customer" in key[0]}
    wide = {("orders (customer_id)",): 20_000.0, ("orders (customer_id, created_at)",): 10.0}
    return Several({ONE: customer, TWO: wide, OTHER: {("orders (shop_id)",): 20.0}}, **more)


def test_one_wide_index_serves_both_instead_of_two() -> None:
    advice = advised({ONE: 5000.0, TWO: 5000.0}, planner())
    assert bodies(advice) == ["orders (customer_id, created_at)"]
    assert set(advice.indexes[0].helps) == {"0", "1"}
    assert advice.after_ms < 0.1 * advice.total_ms


def test_a_budget_takes_what_saves_most_for_its_room() -> None:
    everything = advised({ONE: 9000.0, OTHER: 100.0}, planner())
    assert len(everything.indexes) == 2
    most = everything.indexes[0].bytes
    assert most is not None
    tight = advised({ONE: 9000.0, OTHER: 100.0}, planner(), budget_bytes=most)
    assert len(tight.indexes) == 1
    assert tight.indexes[0].saved_ms > 8000
    assert advised({ONE: 9000.0}, planner(), budget_bytes=1000).indexes == ()


def test_what_writes_would_pay_can_outweigh_what_reads_save() -> None:
    busy = {(None, "orders"): replace(ORDERS, inserts=10_000_000)}
    assert advised({OTHER: 1000.0}, planner(known=busy)).indexes == ()
    assert len(advised({OTHER: 1_000_000.0}, planner(known=busy)).indexes) == 1


def test_a_hot_update_pays_only_for_an_index_on_what_it_sets() -> None:
    hot = replace(ORDERS, updates=1_000_000, hot_share=1.0)
    untouched = {(None, "orders"): replace(hot, updated_columns=frozenset({"status"}))}
    assert advised({OTHER: 1000.0}, planner(known=untouched)).indexes[0].write_ms == 0.0
    touched = {(None, "orders"): replace(hot, updated_columns=frozenset({"shop_id"}))}
    assert advised({OTHER: 1000.0}, planner(known=touched)).indexes == ()


def test_a_statement_without_an_index_says_why_and_the_rest_goes_on() -> None:
    advice = advised({"SELECT 1; SELECT 2": 50.0, OTHER: 1000.0}, planner())
    assert bodies(advice) == ["orders (shop_id)"]
    ((queryid, why),) = advice.without
    assert (queryid, "not understood" in why) == ("0", True)


def test_an_empty_workload_is_no_error() -> None:
    advice = advised({}, planner())
    assert (advice.indexes, advice.total_ms, advice.after_ms) == ((), 0, 0)
