"""What the planner says of a statement with some indexes there, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.definition import Definition
    from agent.database.snapshot import NotVisible, Plan

WHOLE_SHARE = 0.25
"""An index scan that hands over more than this share of the table is no search."""
_PASSES_ROWS_ON = frozenset(
    {"Index Scan", "Index Only Scan", "Seq Scan", "Result", "Subquery Scan", "Nested Loop", "Append", "LockRows"}
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A plan with hypothetical indexes. names are what the plan calls those it uses; bytes HypoPG's sizes."""

    plan: Plan
    names: Mapping[str, Definition]
    bytes: Mapping[Definition, int]

    @property
    def cost(self) -> float:
        return self.plan.total_cost

    @property
    def used(self) -> frozenset[Definition]:
        return frozenset(self.names.values())

    @property
    def cautious_cost(self) -> float:
        """The cost where a LIMIT does not pay as early as the planner hopes.

        It takes rows that pass a filter to lie evenly; a rare or clustered value makes it read on and on. The
        geometric mean of the hoped-for and the full cost stands in for what is not known.
        """
        worse = 0.0
        for node in self.plan.nodes():
            if node.get("Node Type") == "Limit" and (full := _full_cost_below(node)) is not None:
                hoped = max(float(node["Total Cost"]), 0.01)
                worse += max(0.0, math.sqrt(full * hoped) - hoped)
        return self.cost + worse

    def searches(self, definition: Definition, rows: float | None) -> bool:
        """Whether some scan of it leaves most of the table out, or only begins to read it."""
        return any(
            early or inner or _is_search(node, rows)
            for node, early, inner in _scans(self.plan.root)
            if self.names.get(str(node.get("Index Name", ""))) == definition
        )


class Planner(Protocol):
    """Plans statements on a target without running them. Raises connectors' Unreachable only.

    validates: hypothetical indexes can be asked for (HypoPG). could_validate: they could be, once the extension that
    the server has is created in this database.
    """

    @property
    def validates(self) -> bool: ...

    @property
    def could_validate(self) -> bool: ...

    def tables(
        self, names: Sequence[tuple[str | None, str]], user: str | None
    ) -> Mapping[tuple[str | None, str], TableProfile | NotVisible]:
        """The profile of each name as a statement of this user would find it."""
        ...

    def plannable(self, text: str, user: str | None) -> str | NotVisible:
        """The statement as it may be planned: one that only reads, with its tables' schemas written out."""
        ...

    def trial(self, plannable: str, definitions: Sequence[Definition]) -> Trial | NotVisible: ...


def _full_cost_below(limit: Mapping[str, Any]) -> float | None:
    """The cost of all rows below a LIMIT that stops a filtering scan early; None when it does not."""
    below = (limit.get("Plans") or [None])[0]
    if below is None:
        return None
    full, node = float(below["Total Cost"]), below
    while node is not None and node.get("Node Type") in _PASSES_ROWS_ON:
        if _may_be_rare(str(node.get("Filter", ""))) or node.get("Join Filter") is not None:
            return full
        node = (node.get("Plans") or [None])[0]
    return None


def _may_be_rare(condition: str) -> bool:
    """What is only unequal or not NULL mostly passes."""
    return any(sign in condition.replace("<>", "").replace("IS NOT NULL", "") for sign in ("=", "<", ">", "~", "IS"))


def _is_search(node: Mapping[str, Any], rows: float | None) -> bool:
    return not rows or float(node.get("Plan Rows", 0)) <= WHOLE_SHARE * rows


def _scans(root: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool, bool]]:
    """Every node, whether a LIMIT above stops it early, and whether it runs once for each row of another."""
    waiting: list[tuple[Mapping[str, Any], bool, bool]] = [(root, False, False)]
    while waiting:
        node, early, inner = waiting.pop()
        yield node, early, inner
        kind = str(node.get("Node Type"))
        stops = kind == "Limit" or (early and kind not in {"Sort", "Aggregate", "Hash", "WindowAgg", "Hash Join"})
        for position, child in enumerate(node.get("Plans", ())):
            repeated = (
                inner or (kind == "Nested Loop" and position == 1) or child.get("Parent Relationship") == "SubPlan"
            )
            waiting.append((child, stops, repeated))
