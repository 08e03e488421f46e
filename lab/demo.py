"""One incident from the fault to the postmortem, on real parts, told as it happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from lab.production import follow
from lab.stack import PERSON

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.embedded.server import EmbeddedServer
    from lab.faults import Fault
    from lab.production import Production
    from lab.story import Story

NORMAL_LOAD_S = 60.0
"""A fresh Prometheus has no baseline; the ranking needs one to compare with."""
GIVE_UP_S = 15 * 60.0
ENDS = frozenset({"closed", "needs_human"})


@dataclass
class Run:
    """What one incident took. All times in epoch seconds; None: not reached."""

    fault_at: float
    condition_at: float | None = None
    alert_at: float | None = None
    opened_at: float | None = None
    proposed_at: float | None = None
    decided_at: float | None = None
    started_at: float | None = None
    built_at: float | None = None
    restored_at: float | None = None
    verified_at: float | None = None
    incident: dict[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str | None:
        found: str | None = self.incident.get("outcome")
        return found

    def seconds(self) -> dict[str, float | None]:
        """As `stanch bench demo` prints them."""
        return {
            "detect": between(self.fault_at, self.opened_at),
            "diagnose": between(self.opened_at, self.proposed_at),
            "wait": between(self.proposed_at, self.decided_at),
            "execute": between(self.decided_at, self.built_at),
            "verify": between(self.built_at, self.verified_at),
            "total": between(self.fault_at, self.restored_at),
        }


def between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def epoch(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def set_up(production: Production, story: Story, began: float) -> None:
    """Starts everything and says what it is. began: time.monotonic() when the command was called."""
    phases: set[str] = set()

    def seeded(phase: str, share: float) -> None:
        if phase not in phases:
            phases.add(phase)
            story.chapter("shop's data", f"{phase} ({share:.0%})")

    start = time.monotonic()
    if production.seed(seeded):
        story.chapter("shop's data", f"made and cached, {time.monotonic() - start:.0f} s, once")
    start = time.monotonic()
    production.start_servers()
    production.start_shop()
    parts: list[EmbeddedServer] = [
        production.stack.store, production.stack.broker, production.prometheus, production.alertmanager
    ]  # fmt: skip
    named = " · ".join(f"{one.product} {one.version} ({one.origin})" for one in parts)
    story.chapter("servers", f"{named}   {time.monotonic() - start:.0f} s")
    rates = production.shop.rates
    orders = f"{production.scale.rows / 1e6:.1f} M orders"
    story.chapter("shop", f"storefront → orders → orders-db, {orders}, {rates.all:.0f} requests/s")
    story.chapter("dashboard", f"{production.stack.login_url}   up after {time.monotonic() - began:.0f} s")
    story.plain()


def normal_load(production: Production, story: Story) -> None:
    """The minute that the ranking compares with."""

    def note() -> str:
        p99 = production.p99_seconds()
        return "" if p99 is None else f"p99 {p99:.2f} s"

    def mend() -> None:
        production.mend(lambda text: story.line("servers", text))

    story.wait("normal load", NORMAL_LOAD_S, note, mend)
    story.plain()


Approver = Callable[[Mapping[str, Any]], None]
"""Is shown the incident once it waits for a decision."""


class Lab(Protocol):
    """What is followed: a production of this process, or one that another process runs."""

    @property
    def url(self) -> str: ...
    @property
    def prometheus_url(self) -> str: ...
    @property
    def data_dir(self) -> Path: ...
    def inject(self, fault: Fault) -> float: ...
    def api(self) -> httpx.Client: ...
    def mend(self, say: Callable[[str], None]) -> None: ...
    def p99_seconds(self) -> float | None: ...
    def gap_seconds(self, since: float, until: float | None = None) -> float | None: ...


class Teller:
    """Follows one incident and tells what is new. approver None: a person decides on the page or the command line."""

    def __init__(self, production: Lab, story: Story, approver: Approver | None) -> None:
        self._production = production
        self._story = story
        self._approver = approver
        self._told: set[Any] = set()

    def run(self, fault: Fault, give_up_s: float = GIVE_UP_S) -> Run:
        """Injects the fault and follows until the incident has an end, or that long.

        `incident` of what it returns is empty when none came.
        Raises CannotInjectError, ServerFailed.
        """
        production, story = self._production, self._story
        before = self._newest()
        run = Run(production.inject(fault))
        announced = f" by deploy {fault.change.version}" if fault.change else ""
        story.line("fault", f"{fault.name}: {fault.mechanism}{announced}", run.fault_at)
        with production.api() as api:
            key = self._wait_for_incident(api, run, before, give_up_s)
            for incident in follow(api, key) if key else ():
                production.mend(self._say)
                run.incident = dict(incident)
                self._tell(run, incident)
                if incident["state"] in ENDS and incident["postmortem"]:
                    return run
                if time.time() - run.fault_at > give_up_s:
                    return run
        return run

    def _say(self, text: str) -> None:
        self._story.line("servers", text)

    def _newest(self) -> int:
        with self._production.api() as api:
            answer = api.get("/api/v1/incidents", params={"limit": 1})
            answer.raise_for_status()
            found = answer.json()["incidents"]
        return int(found[0]["id"].removeprefix("INC-")) if found else 0

    def _wait_for_incident(self, api: httpx.Client, run: Run, before: int, give_up_s: float) -> str | None:
        while time.time() - run.fault_at < give_up_s:
            self._production.mend(self._say)
            if run.condition_at is None:
                self._look_for_condition(run)
            try:
                found = api.get("/api/v1/incidents", params={"limit": 1}).json().get("incidents")
            except (httpx.HTTPError, ValueError):
                found = None
            if found and int(found[0]["id"].removeprefix("INC-")) > before:
                key: str = found[0]["id"]
                return key
            time.sleep(0.2)
        return None

    def _look_for_condition(self, run: Run) -> None:
        url = self._production.prometheus_url
        answer = httpx.get(f"{url}/api/v1/alerts", trust_env=False).json()["data"]["alerts"]
        active = [epoch(alert["activeAt"]) for alert in answer]
        since = min((at for at in active if at is not None and at >= run.fault_at - 1), default=None)
        if since is not None:
            run.condition_at = since
            p99 = self._production.p99_seconds()
            shown = f", p99 {p99:.2f} s" if p99 else ""
            self._story.line("Prometheus", f"the alert's condition is true{shown}", since)

    # --- What is told ----------------------------------------------------------------------------------------

    def _once(self, what: Any) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True

    def _tell(self, run: Run, incident: Mapping[str, Any]) -> None:
        key = incident["id"]
        if self._once((key, "opened")):
            run.opened_at = epoch(incident["milestones"]["detected"])
            run.alert_at = run.opened_at
            after = between(run.fault_at, run.opened_at)
            self._story.line("Alertmanager", f"{incident['title']}   +{after:.1f} s after the fault", run.opened_at)
        if incident["skill"] and self._once((key, "skill")):
            self._story.line(key, f"opened, skill {incident['skill']}", run.opened_at)
        for row in incident["evidence"]:
            told = row["status"] in {"yes", "note"} and row["check"] != "verification"
            if told and self._once((key, row["id"])):
                self._story.line("evidence", row["summary"], epoch(row["at"]))
        if incident["cause"] and self._once((key, "cause")):
            self._tell_causes(incident)
        if incident["proposal"] and incident["proposal"]["approval"] and self._once((key, "proposal")):
            self._tell_proposal(run, incident)
        for execution in incident["executions"]:
            self._tell_execution(run, execution)
        if incident["state"] in ENDS and self._once((key, "end")):
            self._tell_end(run, incident)

    def _tell_causes(self, incident: Mapping[str, Any]) -> None:
        told = []
        for cause in incident["causes"][:3]:
            width = f" ({cause['low']:.2f} to {cause['high']:.2f})" if cause["low"] is not None else ""
            told.append(f"{cause['title'].lower()} {cause['probability']:.2f}{width}")
        self._story.line("causes", " · ".join(told), epoch(incident["milestones"].get("diagnosed")))

    def _tell_proposal(self, run: Run, incident: Mapping[str, Any]) -> None:
        fix, story = incident["proposal"], self._story
        run.proposed_at = epoch(incident["milestones"]["proposed"])
        story.line("proposal", fix["command"], run.proposed_at)
        named = [lock for lock in fix["locks"] if lock["relation"] != "*"]
        locks = ", ".join(f"{lock['mode']} on {lock['relation']}" for lock in named)
        story.under(f"{locks}: reads and writes go on", "dim")
        story.under(f"way back: {fix['rollback']}", "dim")
        since_condition = between(run.condition_at, run.proposed_at)
        if since_condition is not None:
            story.under(f"{since_condition:.1f} s after the condition became true", "dim")
        if self._approver is not None:
            self._approver(incident)
            return
        minutes, seconds = divmod(int(fix["approval"]["seconds_left"]), 60)
        url = self._production.url
        story.plain()
        story.under(f"Approve?  open {url}/i/{incident['id']}", "bold")
        story.under(f"or run    .venv/bin/stanch approve {incident['id']}     ({minutes}:{seconds:02d} left)", "bold")
        story.plain()

    def _tell_execution(self, run: Run, execution: Mapping[str, Any]) -> None:
        name, story = execution["id"], self._story
        if self._once((name, "approved")):
            people = [row["person"] for row in run.incident["proposal"]["approval"]["decisions"]]
            run.decided_at = epoch(run.incident["milestones"]["decided"])
            story.line("approved", f"by {', '.join(people)}", run.decided_at)
        progress = execution["progress"]
        if progress and execution["state"] == "started":
            self._tell_progress(name, progress)
        if execution["finished_at"] and self._once((name, "ended")):
            run.started_at, run.built_at = epoch(execution["started_at"]), epoch(execution["finished_at"])
            took = between(run.started_at, run.built_at)
            gap = self._production.gap_seconds(run.started_at or 0.0, run.built_at)
            gap_text = f" · longest gap between committed writes {gap:.2f} s" if gap is not None else ""
            story.line("executor", f"{execution['state']} after {took:.1f} s{gap_text}", run.built_at)

    def _tell_progress(self, name: str, progress: Mapping[str, Any]) -> None:
        percent = progress["percent"]
        step = progress["phase"] if percent is None else (progress["phase"], int(percent // 50))
        if self._once((name, step)):
            filled = "" if percent is None else f"   {'▓' * int(percent // 5):░<20} {percent:.0f} %"
            self._story.line("executor", f"{progress['phase']}{filled}")

    def _tell_end(self, run: Run, incident: Mapping[str, Any]) -> None:
        milestones, story = incident["milestones"], self._story
        run.restored_at = epoch(milestones.get("restored"))
        run.verified_at = epoch(milestones.get("verified"))
        if run.restored_at:
            story.line("restored", "the signal is back within its target", run.restored_at)
        if incident["verification"]:
            story.line("verified", incident["verification"]["summary"], run.verified_at)
        elif incident["why"]:
            story.line("needs human", incident["why"])
        path = self._production.data_dir / "postmortems" / f"{incident['id']}.md"
        if path.is_file():
            story.line("postmortem", os.path.relpath(path))
        if incident["outcome"] == "recovered" and incident["cause"]:
            cause = incident["cause"]["title"].lower()
            story.line("learned", f"{incident['skill']}: one verified fix for {cause} counted")


def approve_at_once(production: Lab, story: Story) -> Approver:
    """Plays the person, and says so."""

    def approve(incident: Mapping[str, Any]) -> None:
        story.line("approver", f"AUTO: this demo plays {PERSON} and approves")
        fix = incident["proposal"]
        with production.api() as api:
            answer = api.post(
                f"/api/v1/approvals/{fix['approval']['id']}/decision",
                json={"decision": "approve", "revision": fix["revision"], "digest": fix["digest"]},
            )
        if answer.status_code != httpx.codes.OK:
            story.line("approver", f"the decision was not taken: {answer.text}")

    return approve


def summary(run: Run) -> str:
    parts = run.seconds()
    names = {"detect": "to detect", "diagnose": "to diagnose", "wait": "decision", "execute": "to run"}
    told = ", ".join(f"{parts[key]:.0f} {words}" for key, words in names.items() if parts[key] is not None)
    settled = between(run.built_at, run.restored_at)
    told += f", {settled:.0f} to settle" if settled is not None else ""
    total = parts["total"]
    return f"fault → restored {total:.0f} s ({told})" if total is not None else f"not restored; {told}"
