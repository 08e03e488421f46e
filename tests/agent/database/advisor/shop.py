"""A shop's tables, and a planner that answers by a table of costs instead of a server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent.database.advisor.catalog import ColumnProfile, IndexKey, IndexProfile, TableProfile
from agent.database.advisor.trial import Trial
from agent.database.snapshot import NotVisible, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.database.advisor.definition import Definition

ZONED = "timestamp with time zone"


def column(name: str, type_: str = "integer", distinct: float = -1.0, **more: Any) -> ColumnProfile:
    return ColumnProfile(name, type_, n_distinct=distinct, **{"width_bytes": 4, "null_share": 0.0, **more})


def index(name: str, *columns: str, **changes: Any) -> IndexProfile:
    keys = tuple(IndexKey(one, one) for one in columns)
    made = IndexProfile(name, "btree", keys, (), "", usable=True, unique=False, bytes=1)
    return replace(made, **changes)


ORDERS = TableProfile(
    schema="public",
    table="orders",
    kind="r",
    rows=1_000_000,
    bytes=100_000_000,
    columns=(
        column("id"),
        column("customer_id", distinct=50_000),
        column("shop_id", distinct=500),
        column("status", "text", 4, width_bytes=6, common_values=("done", "open"), common_shares=(0.97, 0.01)),
        column("email", "text", width_bytes=20),
        column("code", "character varying", width_bytes=10),
        column("plain", "text", c_collation=True),
        column("paid", "boolean", 2, width_bytes=1, common_values=("t", "f"), common_shares=(0.99, 0.01)),
        column("closed_at", ZONED, null_share=0.02, width_bytes=8),
        column("created_at", ZONED, width_bytes=8),
        column("local_at", "timestamp without time zone", width_bytes=8),
        column("data", "jsonb", width_bytes=80),
        column("tags", "text[]", width_bytes=30),
        column("words", "tsvector", width_bytes=100),
        column("Odd Näme", "integer"),
    ),
    indexes=(index("orders_pkey", "id", unique=True),),
)
ITEMS = TableProfile(
    schema="public",
    table="items",
    kind="r",
    rows=4_000_000,
    bytes=300_000_000,
    columns=(column("id"), column("order_id", distinct=-0.25), column("sku", "text"), column("qty", distinct=9)),
    indexes=(index("items_pkey", "id", unique=True),),
)
TABLES: Mapping[tuple[str | None, str], TableProfile] = {
    (None, "orders"): ORDERS,
    ("public", "orders"): ORDERS,
    (None, "items"): ITEMS,
}


@dataclass
class CostTable:
    """A planner that knows what some sets of indexes cost, written as "orders (customer_id)"; others change nothing.

    Of several known sets that are there, the cheapest is taken. seen is every set that was asked for.
    """

    costs: Mapping[Any, float]
    base: float = 40_000.0
    validates: bool = True
    could_validate: bool = False
    known: Mapping[Any, TableProfile | NotVisible] = field(default_factory=lambda: dict(TABLES))
    refused: str = ""
    root: Mapping[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, ...]] = field(default_factory=list)

    def tables(
        self, names: Sequence[tuple[str | None, str]], user: str | None
    ) -> Mapping[tuple[str | None, str], TableProfile | NotVisible]:
        del user
        return {name: self.known.get(name) or NotVisible(f"table {name[1]}", "no such table") for name in names}

    def plannable(self, text: str, user: str | None) -> str | NotVisible:
        del user
        return NotVisible("the plan", self.refused) if self.refused else text

    def trial(self, plannable: str, definitions: Sequence[Definition]) -> Trial | NotVisible:
        assert plannable
        there = {written(one): one for one in definitions}
        self.seen.append(tuple(sorted(there)))
        usable = [(cost, names) for names, cost in self.costs.items() if there.keys() >= set(names)]
        cost, names = min(usable, default=(self.base, ()))
        scans = [{"Node Type": "Index Scan", "Index Name": name, "Plan Rows": 5, "Total Cost": 1} for name in names]
        root = {"Node Type": "Result", **self.root, "Total Cost": cost, **({"Plans": scans} if scans else {})}
        return Trial(Plan(root), {name: there[name] for name in names}, {})


def where(condition: str) -> str:
    return "SELECT id FROM orders WHERE " + condition  # noqa: S608 a test's own text


def written(definition: Definition) -> str:
    return f"{definition.table}{definition.body()}"
