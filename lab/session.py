"""One lab from up to down, and one fault in a lab: what `stanch lab` does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.embedded.process import ServerFailed, last_lines
from lab.demo import NORMAL_LOAD_S, Teller, approve_at_once
from lab.production import Production, Scale, free_place
from lab.running import places
from lab.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.demo import Run
    from lab.faults import Fault
    from lab.running import Running
    from lab.story import Story

GIVE_UP_S = 105.0
"""From the injection: what Stanch has not ended by then it has not ended. So that a fault takes under two minutes."""
QUIET_S = 12.0
"""How long after the undoing the alerts are waited for: their windows are eight seconds."""
QUIET_BEFORE_S = 60.0
STARTS_WITHIN_S = 600.0
POLICY = (("rate_limit", {"executions": 50, "window_s": 3600}),)
"""More repairs an hour than a target of anybody's would be allowed."""


def serve(base: Path, cache: Path, scale: Scale, story: Story) -> None:
    """A lab at `base` or beside it, until it is interrupted; then its folder is gone, too. Raises ServerFailed."""
    with Production(free_place(base), cache=cache, scale=scale, progress=lambda _line: None) as production:
        start(production, story)
        production.stack.wait_until_ready()
        running = production.running
        running.save()
        story.chapter("dashboard", running.login_url)
        story.chapter("Prometheus", running.prometheus_url)
        story.chapter("break it", "stanch lab run FAULT    (stanch lab list names them)")
        while True:
            production.mend(lambda text: story.line("servers", text))
            time.sleep(0.5)


def start(production: Production, story: Story) -> None:
    """Data, servers, shop and Stanch; says what takes long."""
    began, phases = time.monotonic(), set[str]()

    def seeded(phase: str, share: float) -> None:
        if phase not in phases:
            phases.add(phase)
            story.chapter("shop's data", f"{phase} ({share:.0%})")

    production.seed(seeded)
    story.chapter("servers", "store, broker, target")
    production.start_servers()
    story.chapter("shop", "storefront, catalog, orders, payments, billing; Prometheus, Alertmanager; Stanch")
    production.start_shop()
    story.chapter("up", f"after {time.monotonic() - began:.0f} s")


def detach(base: Path, arguments: list[str], story: Story) -> Running:
    """Starts `stanch lab up` as a process of its own; returns once everything is up. Raises ServerFailed."""
    base.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=base.parent, prefix=f"{base.name}-up-", suffix=".log", delete=False) as log:
        path = Path(log.name)
        child = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "lab", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "STANCH_DATA_DIR": os.fspath(base.parent.resolve())},
            start_new_session=True,
        )
    try:
        return _wait_until_up(base, child, path, story)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        path.unlink(missing_ok=True)


def _wait_until_up(base: Path, child: subprocess.Popen[bytes], log: Path, story: Story) -> Running:
    told, deadline = 0, time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[told:]:
            story.plain(line)
        told = len(lines)
        if child.poll() is not None:
            said = " ".join(last_lines(log, 1)).removeprefix("stanch: ")
            raise ServerFailed("lab", f"did not start: {said or 'it said nothing'}")
        for place in places(base):
            if place.running is not None and place.running.pid == child.pid:
                return place.running
        time.sleep(0.3)
    raise ServerFailed("lab", f"was not up after {STARTS_WITHIN_S:.0f} s")


def run_in(lab: Production | Running, up_since: float, fault: Fault, story: Story) -> Mapping[str, Any]:
    """Breaks the lab, follows Stanch with an instant approval, undoes the fault; what came of it, JSON-ready.

    up_since: epoch seconds; a lab that is just up gets a minute of normal load first. Raises CannotInjectError.
    """
    left = up_since + NORMAL_LOAD_S - time.time()
    if left > 0:
        story.wait("normal load", left, lambda: "", lambda: lab.mend(lambda _line: None))
    # An alert that is pending already would fire too soon, and be told of before there is anything to see.
    if _quiet_within(lab, QUIET_BEFORE_S) is None:
        on = ", ".join(f"{name} is {state}" for name, state in sorted(lab.alerts().items()))
        raise ServerFailed("lab", f"is not quiet: {on or 'alerts come and go'}; this machine may be too busy")
    try:
        told = Teller(lab, story, approve_at_once(lab, story)).run(fault, GIVE_UP_S)
    finally:
        fault.undo(lab)
        story.line("lab", f"{fault.name} is undone")
    return _row(fault, told, _quiet_within(lab, QUIET_S))


def _quiet_within(lab: Production | Running, most_s: float) -> float | None:
    """Seconds until no alert was on, None: one still was."""
    began = time.monotonic()
    while (gone := time.monotonic() - began) < most_s:
        if not lab.alerts():
            return round(gone, 1)
        time.sleep(0.3)
    return None


def _row(fault: Fault, told: Run, quiet_s: float | None) -> Mapping[str, Any]:
    """as_expected: Stanch ran the action that the truth asks for and it helped, or ran none where none is asked for."""
    incident = told.incident
    proposal, executions = incident.get("proposal"), incident.get("executions") or []
    ran = proposal["action"] if executions and proposal else None
    if fault.expected_action is None:
        as_expected = not executions
    else:
        as_expected = ran == fault.expected_action and told.outcome == "recovered"
    return {
        "fault": fault.name,
        "truth": {
            "component": fault.component,
            "mechanism": fault.mechanism_id,
            "description": fault.mechanism,
            "action": fault.expected_action,
            "also": [list(other) for other in fault.also],
        },
        "alert": incident.get("title"),
        "skill": incident.get("skill"),
        "cause": incident.get("cause"),
        "proposed": proposal["action"] if proposal else None,
        "executed": ran,
        "state": incident.get("state"),
        "outcome": told.outcome,
        "as_expected": as_expected,
        "seconds": told.seconds(),
        "quiet_after_undo_seconds": quiet_s,
    }
