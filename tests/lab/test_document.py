"""docs/lab.md says what there is."""

from __future__ import annotations

import itertools

from lab import monitoring
from lab.faults import FAULTS
from lab.stack import ROOT

TEXT = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")


def _rows(table: str) -> dict[str, list[str]]:
    """First cell → all cells, of every row of the table whose head begins so: faults are in more than one table."""
    lines = itertools.takewhile(lambda line: line.startswith("|"), TEXT[TEXT.index(f"\n{table}") + 1 :].splitlines())
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in list(lines)[2:]]
    return {row[0].strip("`"): row for row in rows}


def test_every_fault_is_in_the_table_with_its_truth() -> None:
    rows = _rows("| fault | component |")

    assert list(rows) == [fault.name for fault in FAULTS]
    for fault in FAULTS:
        _, component, mechanism, action, alerts = rows[fault.name]
        assert component == fault.component
        assert mechanism.split(", ") == [fault.mechanism_id, *(f"{what} in {where}" for where, what in fault.also)]
        assert action == (fault.expected_action or "–")  # noqa: RUF001 the table's own dash
        assert alerts == ", ".join(fault.alerts)


def test_every_alert_is_in_the_table_with_its_service_and_its_patience() -> None:
    rows = _rows("| alert | on |")

    for rule in monitoring.RULES:
        _, service, _, for_s = rows[rule.alert]
        assert (service, for_s) == (rule.service, f"{rule.for_s} s")


def test_at_least_four_alerts_are_raised_by_faults_of_different_mechanisms() -> None:
    mechanisms: dict[str, set[str]] = {}
    for fault in FAULTS:
        for alert in fault.alerts:
            mechanisms.setdefault(alert, set()).add(fault.mechanism_id)

    assert sum(len(found) > 1 for found in mechanisms.values()) >= 4
