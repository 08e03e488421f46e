"""One incident as it can be played again: the alert, every answer the agent could have had, and the truth.

Pure values. A case comes from a recording or from the generator over recordings; who plays it cannot tell which.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 a recording's format is read from the hints
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from agent.runbook.skill import Check

MECHANISMS: Mapping[str, str] = {
    "missing_index": "a statement reads a whole table because no index serves it",
    "outdated_statistics": "the planner plans with statistics that no longer hold",
    "idle_in_transaction": "a session sits in an open transaction and holds locks",
    "row_lock_pile_up": "sessions queue for rows that one active transaction holds",
    "ddl_lock_queue": "a schema change waits for a lock and everybody waits behind it",
    "runaway_query": "one long query takes the server's time",
    "connection_leak": "a service borrows connections and does not return them",
    "old_xmin": "an old snapshot keeps vacuum from removing dead rows",
    "temp_file_spill": "sorts and hashes spill to disk",
    "invalid_index": "a failed concurrent build left an invalid index, and the statement scans",
    "cpu_saturation": "a service's process has no processor time left",
    "slow_dependency": "something a service calls answers late",
    "bad_deploy": "a new version answers with errors",
    "traffic_surge": "more traffic than usual; nothing is broken",
    "no_fault": "the alert fired and nothing is wrong",
}
"""What can be true of an incident, and what a skill's causes may be named after (`connections_exhausted`,
`lock_contention` and `none_of_these` are causes that are no mechanism)."""

HARMLESS = frozenset({"traffic_surge", "no_fault"})
"""Any action on these is wrong."""

Status = Literal["yes", "no", "not_visible", "note"]


@dataclass(frozen=True, slots=True)
class Truth:
    """component: the service or target where it broke. action: kind of the typed action that repairs it, None: none may
    be taken. restore_s: from the start of that action to the signal's recovery, as recorded; None without one. also:
    (component, mechanism) of a second fault at the same time. params: those that the action must have to repair it;
    empty where its kind says enough.
    """

    fault: str
    component: str
    mechanism: str
    action: str | None
    restore_s: float | None = None
    also: tuple[tuple[str, str], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """What one question was answered. seconds: how long that took when it was recorded."""

    status: Status
    summary: str
    data: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Case:
    """answers: by `question(check)`, one for each time it was asked, step_s apart from the alert on; the last one holds
    afterwards. A question that was not recorded is not visible. family: mechanism and template, the unit of splitting.
    strata: names that results are also counted under (`anchor-swap`, `benign`, `shift`, `recorded` …). differs: how a
    generated case differs from the recording it comes from.
    """

    id: str
    family: str
    labels: Mapping[str, str]
    service: str
    target: str | None
    answers: Mapping[str, tuple[Said, ...]]
    truth: Truth
    step_s: float = 5.0
    strata: frozenset[str] = field(default_factory=frozenset)
    annotations: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """JSON-ready: what it is, and how it differs from what was recorded."""
        return {"id": self.id, "family": self.family, "strata": sorted(self.strata), **self.differs}


def question(check: Check) -> str:
    """What a check asks, whichever skill asks it: `database:slow_statement`, `causal:target_leads`."""
    return f"{check.tool}:{check.query}"
