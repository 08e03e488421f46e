"""Two faults as one: what is true of it, and that none of the two is left behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lab.faults import CannotInjectError, Change, Surroundings, named
from lab.faults.two_at_once import TwoAtOnce


@dataclass(frozen=True, slots=True)
class Said:
    """A fault that only says what was asked of it."""

    name: str
    told: list[str]
    refuses: bool = False
    change: Change | None = None
    component: str = "orders-db"
    mechanism: str = "it breaks"
    mechanism_id: str = "missing_index"
    expected_action: str | None = None
    alerts: tuple[str, ...] = ("StorefrontSlow",)
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:  # noqa: ARG002 a fault that only says
        if self.refuses:
            raise CannotInjectError("not now")
        self.told.append(f"inject {self.name}")
        return float(len(self.told))

    def undo(self, lab: Surroundings) -> None:  # noqa: ARG002 a fault that only says
        self.told.append(f"undo {self.name}")
        if self.refuses:
            raise CannotInjectError("not now")


@dataclass
class Around:
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    admin_dsn: str = ""
    app_dsn: str = ""

    def control(self, service: str) -> str:
        return service

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        self.changes.append((service, version, summary))


def test_the_truth_is_the_firsts_and_the_seconds_stands_beside_it() -> None:
    both = named("missing-index-and-slow-dependency")

    assert (both.component, both.mechanism_id) == ("orders-db", "missing_index")
    assert both.expected_action == "create_index_concurrently"
    assert both.also == (("payments", "slow_dependency"),)
    assert both.change == named("missing-index").change


def test_both_are_injected_and_the_seconds_change_is_reported_too() -> None:
    told: list[str] = []
    lab = Around()
    both = TwoAtOnce(Said("one", told), Said("two", told, change=Change("catalog", "catalog-2", "new")))

    began = both.inject(lab)

    assert began == 1.0
    assert told == ["inject one", "inject two"]
    assert lab.changes == [("catalog", "catalog-2", "new")]


def test_where_the_second_cannot_be_injected_the_first_is_undone() -> None:
    told: list[str] = []
    both = TwoAtOnce(Said("one", told), Said("two", told, refuses=True))

    with pytest.raises(CannotInjectError, match="not now"):
        both.inject(Around())

    assert told == ["inject one", "undo one"]


def test_the_second_is_undone_although_the_first_cannot_be() -> None:
    told: list[str] = []
    both = TwoAtOnce(Said("one", told, refuses=True), Said("two", told))

    with pytest.raises(CannotInjectError, match="not now"):
        both.undo(Around())

    assert told == ["undo one", "undo two"]
