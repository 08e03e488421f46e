"""Six faults of the lab, one after the other in one production: each is told, and called and answered for what it is.

What comes after a proposal is test_incident's; here nothing is approved, and undoing the fault ends the incident.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from lab.bench.incidents_live import Watch
from lab.faults import named
from lab.monitoring import RULES
from lab.production import Production, Scale
from lab.stack import ROOT
from tests.acceptance.scene import BASELINE_S, SLOW_S, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.faults import Fault

pytestmark = pytest.mark.acceptance

_PROPOSED_WITHIN_S = 150.0


class PatientProduction(Production):
    """With limits on latency that a busy machine does not break by itself; the faults' are seconds."""

    def rule_groups(self) -> list[dict[str, Any]]:
        [group] = super().rule_groups()
        slow = {rule.alert for rule in RULES if rule.alert.endswith("Slow")}
        return [{**group, "rules": [_patient(rule) if rule["alert"] in slow else rule for rule in group["rules"]]}]


def _patient(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "expr": f"{rule['expr'].rpartition(' > ')[0]} > {SLOW_S}"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    place = tmp_path_factory.mktemp("faults")
    scale = Scale(policy=(("rate_limit", {"executions": 50}),))
    with PatientProduction(place, cache=ROOT / ".cache", scale=scale, progress=lambda _line: None) as production:
        production.seed(lambda _phase, _share: None)
        production.start_servers()
        production.start_shop()
        production.stack.wait_until_ready()
        time.sleep(BASELINE_S)
        yield production


@pytest.mark.parametrize(
    "name",
    [
        "missing-index",
        "idle-in-transaction",
        "row-lock-pile-up",
        "ddl-lock-queue",
        "runaway-query",
        "old-snapshot",
    ],
)
def test_a_fault_is_told_and_what_is_proposed_is_what_repairs_it(lab: Production, name: str) -> None:
    fault = named(name)
    with Watch(lab, approves=False) as watch:
        try:
            lab.inject(fault)
            found = eventually(f"{name} is proposed for", lambda: _proposed(watch), within_s=_PROPOSED_WITHIN_S)
        finally:
            fault.undo(lab)
            watch.settle(lambda _line: None)

    _is_right(fault, found)
    assert found["executions"] == []


def _proposed(watch: Watch) -> dict[str, Any] | None:
    watch.look()
    return next((one for one in watch.incidents.values() if one["proposal"]), None)


def _is_right(fault: Fault, found: dict[str, Any]) -> None:
    seen = [(row["check"], row["status"], row["summary"]) for row in found["evidence"]]
    assert found["labels"]["alertname"] in fault.alerts
    assert (found["cause"]["id"], found["proposal"]["action"]) == (fault.mechanism_id, fault.expected_action), seen
    assert found["target"] == "orders-db"
