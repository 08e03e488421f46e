"""Faults that a running service is asked for: POST to its /control, see lab/shop/control.py."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from lab.faults.fault import CannotInjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.faults.fault import Change, Surroundings

# A service that burns or waits answers its control route late, too.
_ANSWERS_WITHIN_S = 20.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Controlled:
    """process: whose control route is asked, mostly the component itself. order: what is posted to it."""

    name: str
    component: str
    mechanism: str
    mechanism_id: str
    alerts: tuple[str, ...]
    process: str
    order: Mapping[str, str | float] = field(default_factory=dict)
    change: Change | None = None
    expected_action: str | None = None
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        began = time.time()
        self._post(lab, self.order)
        return began

    def undo(self, lab: Surroundings) -> None:
        """Asks again when it is not heard: what has no time to answer is just what has to be ended."""
        for _ in range(_TRIES - 1):
            with suppress(CannotInjectError):
                return self._post(lab, {"kind": "none"})
        return self._post(lab, {"kind": "none"})

    def _post(self, lab: Surroundings, order: Mapping[str, str | float]) -> None:
        try:
            answer = httpx.post(lab.control(self.process), json=dict(order), timeout=_ANSWERS_WITHIN_S, trust_env=False)
        except httpx.HTTPError as gone:
            raise CannotInjectError(f"{self.process} was not reached or refused: {gone}") from gone
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise CannotInjectError(f"{self.process} has no control route; start it with --control")
        if answer.is_error:
            raise CannotInjectError(f"{self.process} refused: {answer.json().get('error', answer.status_code)}")
