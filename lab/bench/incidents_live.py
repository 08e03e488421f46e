"""Incidents for real: a fault in the running lab, Stanch's proposal approved at once, until the signal is back.

`live` is what `stanch bench incidents --live` prints; it asserts nothing.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import click
import httpx

from agent.database.checks import WINDOW_S
from agent.database.classes import CLASSES
from agent.replay.case import HARMLESS
from lab.demo import NORMAL_LOAD_S, Run, between, epoch
from lab.faults import FAULTS, CannotInjectError, named
from lab.production import Production, Scale, free_place
from lab.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lab.faults import Fault

SAMPLING = frozenset({"workload_sample", *(name for name, one in CLASSES.items() if one.needs_window)})
"""Checks that look twice, WINDOW_S apart: that wait was asked for and is no work of Stanch's."""
ENDS = frozenset({"closed", "needs_human"})
OVER = frozenset({"resolved", "self_resolved", "closed"})
ALERT_WITHIN_S = 90.0
END_WITHIN_S = 270.0
QUIET_S = 20.0
"""Of normal load between two runs; before the first it is NORMAL_LOAD_S, since a fresh Prometheus has no past."""
QUIET_WITHIN_S = 300.0
UNDO_TRIES = 3
_EVERY_S = 0.4


def usual() -> tuple[str, ...]:
    """The faults that a typed action repairs, and those on which any action is wrong."""
    return tuple(one.name for one in FAULTS if one.expected_action is not None or one.mechanism_id in HARMLESS)


def live(faults: Sequence[str] | None, runs: int, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """A line for each run of each fault, then {"summary": …}. faults None: usual(); progress: a line a step.

    Brings a lab up and ends it. Raises click.BadParameter for a fault that there is not, before anything starts, and
    ServerFailed.
    """
    try:
        chosen = [named(name) for name in (usual() if faults is None else faults)]
    except ValueError as unknown:
        raise click.BadParameter(str(unknown), param_hint="--faults") from unknown
    scale = Scale(policy=(("rate_limit", {"executions": 1000, "window_s": 3600}),))
    with Production(free_place(ROOT / "var" / "bench"), cache=ROOT / ".cache", scale=scale, progress=_quiet) as lab:
        lab.seed(lambda phase, share: progress(f"shop's data: {phase} {share:.0%}"))
        lab.start_servers()
        lab.start_shop()
        lab.stack.wait_until_ready()
        progress(f"{NORMAL_LOAD_S:.0f} s of normal load first")
        time.sleep(NORMAL_LOAD_S)
        rows = []
        for number in range(1, runs + 1):
            for fault in chosen:
                progress(f"{fault.name}, run {number} of {runs}")
                row = one_run(lab, fault, progress)
                rows.append(row)
                yield row
    yield {"summary": summary(rows)}


def _quiet(_line: str) -> None:
    """The servers' own progress is in their logs."""


def one_run(lab: Production, fault: Fault, progress: Callable[[str], None]) -> dict[str, Any]:
    """Injects, approves what is proposed, waits for the end, undoes, and waits until the shop is quiet again.

    What is proposed for a fault that no action repairs is counted and left undecided.
    """
    lab.stack.mend(progress)
    with Watch(lab, approves=fault.expected_action is not None) as watch:
        try:
            began = lab.inject(fault)
        except CannotInjectError as error:
            return {"fault": fault.name, "error": str(error)}
        try:
            watch.follow(began, fault.alerts, progress)
            return line(fault, watch)
        finally:
            _undo(lab, fault, progress)
            watch.settle(progress)


def _undo(lab: Production, fault: Fault, progress: Callable[[str], None]) -> None:
    """A busy shop may not let go of a table at once. Raises CannotInjectError when it never does."""
    for _ in range(UNDO_TRIES - 1):
        try:
            return fault.undo(lab)
        except CannotInjectError as busy:
            progress(f"  not undone yet: {busy}")
    return fault.undo(lab)


@dataclass
class Watch:
    """Every incident that a fault opens. began: epoch seconds, 0 before it is injected."""

    lab: Production
    approves: bool
    began: float = 0.0
    incidents: dict[int, dict[str, Any]] = field(default_factory=dict)
    before: int = 0
    _decided: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._api = self.lab.api()
        self.before = max(self._numbers(), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def follow(self, began: float, alerts: Collection[str], progress: Callable[[str], None]) -> None:
        """Until all has an end that was told of the fault, nothing was in ALERT_WITHIN_S, or END_WITHIN_S are over.

        alerts: the fault's own; a busy machine raises others in between.
        """
        self.began = began
        told: set[str] = set()
        while (since_s := time.time() - began) < END_WITHIN_S:
            self.lab.stack.mend(progress)
            self.look()
            for number, one in self.incidents.items():
                proposal = one["proposal"]
                text = f"INC-{number} {one['title']}: {one['state']}" + (f", {proposal['action']}" if proposal else "")
                if text not in told:
                    told.add(text)
                    progress(f"  +{since_s:.0f} s {text}")
            told_of = any(one["labels"].get("alertname") in alerts for one in self.incidents.values())
            if (told_of or since_s > ALERT_WITHIN_S) and all(_has_ended(one) for one in self.incidents.values()):
                return
            time.sleep(_EVERY_S)

    def look(self) -> None:
        """Reads the incidents that are new, and approves what waits; skips a turn while the API is away."""
        try:
            for number in self._numbers():
                if number > self.before:
                    answer = self._api.get(f"/api/v1/incidents/INC-{number}")
                    answer.raise_for_status()
                    self.incidents[number] = answer.json()
                    self._approve(self.incidents[number])
        except httpx.HTTPError:
            return

    def _numbers(self) -> list[int]:
        answer = self._api.get("/api/v1/incidents", params={"limit": 50})
        answer.raise_for_status()
        return sorted(int(one["id"].removeprefix("INC-")) for one in answer.json()["incidents"])

    def _approve(self, incident: Mapping[str, Any]) -> None:
        fix = incident["proposal"]
        waits = fix and fix["approval"] and fix["approval"]["state"] == "pending"
        if not waits or not self.approves or fix["digest"] in self._decided:
            return
        decision = {"decision": "approve", "revision": fix["revision"], "digest": fix["digest"]}
        self._api.post(f"/api/v1/approvals/{fix['approval']['id']}/decision", json=decision)
        self._decided.add(fix["digest"])

    @property
    def main(self) -> dict[str, Any] | None:
        """The incident in which something was done, else in which something was proposed, else the first."""
        ordered = [self.incidents[number] for number in sorted(self.incidents)]
        for told in ("executions", "proposal"):
            for one in ordered:
                if one[told]:
                    return one
        return ordered[0] if ordered else None

    def settle(self, progress: Callable[[str], None]) -> None:
        """Waits for QUIET_S without an alert or an open incident; closes what waits for a human."""
        quiet_since: float | None = None
        give_up = time.monotonic() + QUIET_WITHIN_S
        while quiet_since is None or time.monotonic() - quiet_since < QUIET_S:
            if time.monotonic() > give_up:
                progress(f"  not quiet after {QUIET_WITHIN_S:.0f} s; going on")
                return
            self.lab.stack.mend(progress)
            self.look()
            try:
                quiet_since = (quiet_since or time.monotonic()) if self._is_quiet() else None
            except httpx.HTTPError:
                quiet_since = None
            time.sleep(1.0)

    def _is_quiet(self) -> bool:
        url = f"{self.lab.prometheus.url}/api/v1/alerts"
        ringing = httpx.get(url, trust_env=False).json()["data"]["alerts"]
        for number, one in self.incidents.items():
            if one["state"] == "needs_human" and not _is_firing(one):
                self._api.post(f"/api/v1/incidents/INC-{number}/close", json={"reason": "the run is over"})
        return not ringing and all(one["state"] in OVER for one in self.incidents.values())


def _has_ended(incident: Mapping[str, Any]) -> bool:
    return incident["state"] in ENDS


def _is_firing(incident: Mapping[str, Any]) -> bool:
    return any(alert["status"] == "firing" for alert in incident["alerts"])


# --- What is printed ---------------------------------------------------------------------------------------------


def line(fault: Fault, watch: Watch) -> dict[str, Any]:
    """One run. seconds as `stanch bench demo` has them, null where it did not come to that."""
    found = watch.main
    run = _run(watch.began, found)
    cause = found["cause"]["id"] if found and found["cause"] else None
    action = found["proposal"]["action"] if found and found["proposal"] else None
    return {
        "fault": fault.name,
        "alert": found["title"] if found else None,
        "incidents": len(watch.incidents),
        "skill": found["skill"] if found else None,
        "outcome": found["outcome"] if found else None,
        "cause": cause,
        "mechanism": fault.mechanism_id,
        "mechanism_right": cause in {fault.mechanism_id, *(mechanism for _, mechanism in fault.also)},
        "action": action,
        "expected_action": fault.expected_action,
        "action_right": action == fault.expected_action,
        "restored": run.restored_at is not None and bool(found and found["outcome"] == "recovered"),
        "seconds": run.seconds(),
        "own_work_seconds": own_work_seconds(run),
        "why": found["why"] if found else "no incident was opened",
        "load_average": round(os.getloadavg()[0], 2),
    }


def _run(began: float, incident: dict[str, Any] | None) -> Run:
    run = Run(began)
    if incident is None:
        return run
    run.incident = incident
    reached = incident["milestones"]
    run.opened_at, run.proposed_at = epoch(reached.get("detected")), epoch(reached.get("proposed"))
    run.decided_at = epoch(reached.get("decided"))
    run.restored_at, run.verified_at = epoch(reached.get("restored")), epoch(reached.get("verified"))
    if incident["executions"]:
        run.started_at = epoch(incident["executions"][0]["started_at"])
        run.built_at = epoch(incident["executions"][0]["finished_at"])
    return run


def own_work_seconds(run: Run) -> float | None:
    """From the alert's receipt to the proposal, less the time in which a sample was being taken."""
    total = between(run.opened_at, run.proposed_at)
    if total is None or run.opened_at is None or run.proposed_at is None:
        return None
    sampled, until = 0.0, run.opened_at
    ends = sorted(at for row in run.incident["evidence"] if row["check"] in SAMPLING and (at := epoch(row["at"])))
    for end in ends:
        begin = max(until, end - WINDOW_S)
        last = min(end, run.proposed_at)
        sampled += max(0.0, last - begin)
        until = max(until, last)
    return round(total - sampled, 3)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """restore_seconds: fault → restored, of the runs whose fault an action repairs. Shares are null without a run."""
    ran = [row for row in rows if "error" not in row]
    repaired = [row for row in ran if row["expected_action"] is not None]
    harmless = [row for row in ran if row["mechanism"] in HARMLESS]
    restored = [row for row in repaired if row["restored"]]
    acted = [row for row in ran if row["action"] is not None]
    return {
        "runs": len(rows),
        "not_injected": len(rows) - len(ran),
        "with_a_fix": len(repaired),
        "restored": len(restored),
        "restore_seconds": _spread([row["seconds"]["total"] for row in restored]),
        "own_work_seconds": _spread([row["own_work_seconds"] for row in acted]),
        "mechanism_right": _share([row["mechanism_right"] for row in ran if row not in harmless]),
        "action_right": _share([row["action_right"] for row in repaired]),
        "wrong_fixes": sum(not row["action_right"] for row in acted),
        "actions_on_harmless": sum(row["action"] is not None for row in harmless),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "worst": None}
    return {"median": round(statistics.median(known), 3), "worst": round(max(known), 3)}


def _share(held: Sequence[bool]) -> float | None:
    return round(sum(held) / len(held), 3) if held else None
