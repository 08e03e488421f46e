"""Two faults at the same time: one alert, and no single truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.faults.fault import CannotInjectError

if TYPE_CHECKING:
    from lab.faults.fault import Change, Fault, Surroundings


@dataclass(frozen=True, slots=True)
class TwoAtOnce:
    """The truth, the repair and the change are the first one's; what the second breaks is in `also`."""

    first: Fault
    second: Fault

    @property
    def name(self) -> str:
        return f"{self.first.name}-and-{self.second.name}"

    @property
    def component(self) -> str:
        return self.first.component

    @property
    def mechanism(self) -> str:
        return f"{self.first.mechanism}; at the same time {self.second.mechanism}"

    @property
    def mechanism_id(self) -> str:
        return self.first.mechanism_id

    @property
    def expected_action(self) -> str | None:
        return self.first.expected_action

    @property
    def change(self) -> Change | None:
        return self.first.change

    @property
    def alerts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.first.alerts, *self.second.alerts)))

    @property
    def also(self) -> tuple[tuple[str, str], ...]:
        return (*self.first.also, (self.second.component, self.second.mechanism_id), *self.second.also)

    def inject(self, lab: Surroundings) -> float:
        """When the first began."""
        began = self.first.inject(lab)
        try:
            self.second.inject(lab)
        except CannotInjectError:
            self.first.undo(lab)
            raise
        if self.second.change is not None:
            change = self.second.change
            lab.post_change(service=change.service, version=change.version, summary=change.summary)
        return began

    def undo(self, lab: Surroundings) -> None:
        """Both, also when one of them cannot be undone now; what that one said is raised."""
        try:
            self.first.undo(lab)
        finally:
            self.second.undo(lab)
