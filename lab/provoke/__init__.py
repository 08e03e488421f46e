"""Brings about every incident class on a throw-away server: one class a file, each with its SCENARIOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.provoke import idle_in_transaction

if TYPE_CHECKING:
    from lab.provoke.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (*idle_in_transaction.SCENARIOS,)
"""What the tests and `stanch bench diagnose` run."""
