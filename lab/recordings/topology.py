"""Other systems than the shop with the same faults in them: other names, more services, an alert raised further up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Topology:
    """names: word of the shop → word here, wherever it stands between characters that are no letters or digits.
    edge: a service above the alerting one that raises the alert in its place. bystanders: services that the ranking
    also names, with little weight.
    """

    name: str
    names: Mapping[str, str] = field(default_factory=dict)
    edge: str | None = None
    bystanders: tuple[str, ...] = ()

    @cached_property
    def _words(self) -> re.Pattern[str]:
        longest_first = sorted(self.names, key=lambda word: (-len(word), word))
        return re.compile(f"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")

    @cached_property
    def _known(self) -> dict[str, str]:
        """Texts as they read here: the recordings' are few, and come again and again."""
        return {}

    def text(self, text: str) -> str:
        if not self.names:
            return text
        if text not in self._known:
            self._known[text] = self._words.sub(lambda found: self.names[found.group()], text)
        return self._known[text]

    def alert(self, name: str) -> str:
        """OrdersSlow → BookingsSlow."""
        for old, new in self.names.items():
            name = name.replace(_camel(old), _camel(new))
        return name

    def data(self, value: Any) -> Any:
        """A deep copy with every text renamed, keys included: some are names of applications."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self.data(item) for key, item in value.items()}
            case list() | tuple():
                return [self.data(item) for item in value]
            case _:
                return value


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", word))


SCALES: Mapping[str, float] = {"x1": 1.0, "x3": 3.0, "x10": 10.0, "x0.5": 0.5}
"""How much larger the tables are than those recorded."""

TOPOLOGIES: Mapping[str, Topology] = {
    topology.name: topology
    for topology in (
        Topology("shop"),
        Topology(
            "travel",
            {
                "storefront": "web",
                "orders": "bookings",
                "order": "booking",
                "payments": "checkout",
                "catalog": "listings",
                "products": "rooms",
                "product": "room",
                "orders-db": "bookings-db",
                "billing": "invoicing",
                "customers": "guests",
                "customer": "guest",
                "shop": "travel",
            },
        ),
        Topology(
            "clinic",
            {
                "storefront": "portal",
                "orders": "appointments",
                "order": "appointment",
                "payments": "insurance",
                "catalog": "practitioners",
                "products": "treatments",
                "product": "treatment",
                "orders-db": "records-db",
                "billing": "claims",
                "customers": "patients",
                "customer": "patient",
                "shop": "clinic",
            },
            bystanders=("lab-results", "reminders", "imaging"),
        ),
        Topology(
            "stream",
            {
                "storefront": "player-api",
                "orders": "subscriptions",
                "order": "subscription",
                "payments": "wallet",
                "catalog": "library",
                "products": "titles",
                "product": "title",
                "orders-db": "accounts-db",
                "billing": "renewals",
                "customers": "viewers",
                "customer": "viewer",
                "shop": "stream",
            },
            edge="edge-gateway",
            bystanders=("recommendations",),
        ),
        Topology(
            "bank",
            {
                "storefront": "app-gateway",
                "orders": "transfers",
                "order": "transfer",
                "payments": "fraud-scoring",
                "catalog": "rates",
                "products": "funds",
                "product": "fund",
                "orders-db": "ledger-db",
                "billing": "statements-job",
                "customers": "holders",
                "customer": "holder",
                "shop": "bank",
            },
        ),
    )
}

TEMPLATES: tuple[str, ...] = tuple(f"{scale}/{topology}" for scale in SCALES for topology in TOPOLOGIES)
