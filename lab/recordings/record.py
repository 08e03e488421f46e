"""Records incidents of a real lab, one after the other; stopped and started again, it goes on where it was.

The lab is brought up once, without Stanch. For each recording: other rates, half a minute of quiet, a fault, its alert,
two looks at everything, the repair and how long it took, and quiet again. What raised no alert is noted, not dropped.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psycopg

from agent.causal_check import Around
from agent.expression import signal_of
from agent.ports import NoData
from agent.replay.case import Truth
from connectors.embedded.process import ServerFailed
from connectors.prometheus import Prometheus
from connectors.target.diagnose import Diagnosis
from connectors.unreachable import Unreachable
from guardrails.action import UnknownAction, action_from_params, action_to_params, parameters_of, render
from lab import monitoring
from lab.faults import FAULTS, CannotInjectError, named
from lab.production import FENCE, TARGET, Production
from lab.recordings import library
from lab.recordings.capture import Look, changes_of, elsewhere, look, of_metrics, samples, window_before
from lab.recordings.listener import Listener
from lab.recordings.recording import Alert, Recording
from lab.topology import Rates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.causal_check import Metric
    from agent.expression import Signal
    from agent.replay.case import Said
    from guardrails.action import Action
    from lab.faults import Fault
    from lab.recordings.listener import Heard

QUIET_S = 22.0
"""Without an alert that fires before a fault. Rates look 8 s back, so the shop was well for longer: for as long as the
ranking looks back before the impact (capture.BEFORE_S)."""
NOTHING_RAISED_S = 6.0
"""And without one whose condition holds, just before: a busy machine has hiccups, but the fault shall not meet one."""
QUIET_WITHIN_S = 180.0
ALERT_WITHIN_S = 60.0
LOOKS_AT_S = (0.0, 6.0)
"""After the alert. The second look sees what the first could not: queues that grew, a run that ended."""
RESTORED_WITHIN_S = 60.0
STEADY_S = 3.0
"""The signal counts as back when it is good for so long, from the first good second on."""
EACH = 3
MORE_FOR_SHARED = 2
TRIES_MISSED = 2
LAB_TRIES = 2
"""New labs in a row for one attempt."""

RATES_VARY = (0.75, 1.25)
_POLL_S = 0.5

Say = Callable[[str], None]


class QuietNotReachedError(Exception):
    """The lab did not calm down, or did not get well; only a new one helps."""


@dataclass(frozen=True, slots=True)
class ConfiguredMetric:
    """As an entry of stanch.yaml; lab.monitoring writes these."""

    name: str
    kind: Any
    query: str
    service_label: str


@dataclass(frozen=True, slots=True)
class Attempt:
    fault: Fault
    seed: int

    @property
    def id(self) -> str:
        return f"{self.fault.name}-{self.seed:03d}"


@dataclass(frozen=True, slots=True)
class Repaired:
    """seconds: until the signal was back, None where nothing was to be repaired. by: `action` or `undo`. began: epoch
    seconds. params: what any repair must name.
    """

    seconds: float | None
    by: str
    began: float
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Injection:
    """What every recording of one injection shares. at: epoch seconds. load: the machine's, while it was looked at."""

    attempt: Attempt
    at: float
    looks: Sequence[Look]
    repaired: Repaired
    load: tuple[float, float, float]


def plan(
    faults: Sequence[Fault], manifest: library.Manifest, count: int | None = None, *, anyway: bool = False
) -> tuple[Attempt, ...]:
    """What is still to record, in turns: EACH of every fault, then more of those whose alert has other causes too.

    count: how many in all, those there are included; None: what the faults ask for. A fault that was missed more often
    than TRIES_MISSED beyond its recordings is left alone, but not with `anyway`.
    """
    done, missed, shared = manifest.counts(), _missed(manifest), _shared(faults)
    willing = [one for one in faults if anyway or missed.get(one.name, 0) <= TRIES_MISSED + done.get(one.name, 0)]
    have = {one.name: done.get(one.name, 0) for one in faults}
    attempts: list[Attempt] = []
    turn = 0
    while willing and (turn < EACH + MORE_FOR_SHARED or count is not None):
        turn += 1
        for one in willing:
            if count is not None and sum(have.values()) >= count:
                return tuple(attempts)
            if have[one.name] < turn and (turn <= EACH or one.name in shared):
                have[one.name] += 1
                attempts.append(Attempt(one, have[one.name] + missed.get(one.name, 0)))
        if count is not None and turn >= count:
            break
    return tuple(attempts)


def _missed(manifest: library.Manifest) -> dict[str, int]:
    """Times that a fault was tried and raised nothing, or could not be injected."""
    found: dict[str, int] = {}
    for row in manifest.missed:
        if not row.get("lab_failed"):
            found[row["fault"]] = found.get(row["fault"], 0) + 1
    return found


def _shared(faults: Sequence[Fault]) -> set[str]:
    """Faults whose first alert another mechanism raises too."""
    raisers: dict[str, set[str]] = {}
    for fault in faults:
        raisers.setdefault(fault.alerts[0], set()).add(fault.mechanism_id)
    return {fault.name for fault in faults if len(raisers[fault.alerts[0]]) > 1}


class Recorder:
    """Records on one running lab. folder: where files and manifest go. say: one line a thing that happens."""

    def __init__(self, production: Production, listener: Listener, folder: Path, say: Say) -> None:
        self._production = production
        self._listener = listener
        self._folder = folder
        self._say = say
        self._metrics = Prometheus.at(production.prometheus.url)
        self._wanted: tuple[Metric, ...] = tuple(
            ConfiguredMetric(row["name"], row["kind"], row["query"], row["service_label"])
            for row in monitoring.causal_metrics()
        )

    def record(self, attempt: Attempt) -> Recording | None:
        """One, written; None when it was missed, which is noted. Raises QuietNotReachedError, ServerFailed."""
        began, rng = time.time(), random.Random(attempt.id)
        self._other_rates(rng, attempt)
        self._wait_for_quiet()
        time.sleep(rng.uniform(0.0, 3.0))
        self._listener.clear()
        try:
            return self._broken(attempt, began)
        except (CannotInjectError, Unreachable) as error:
            self.miss(attempt, str(error))
            return None
        finally:
            self._undo(attempt.fault)

    def _broken(self, attempt: Attempt, began: float) -> Recording | None:
        self._say(f"{attempt.id}: injecting")
        injected_at = self._production.running.inject(attempt.fault)
        heard = self._first_alert(injected_at)
        if heard is None:
            self.miss(attempt, f"no alert within {ALERT_WITHIN_S:.0f} s")
            return None
        self._say(f"{attempt.id}: {heard.name} after {heard.received_at - injected_at:.0f} s")
        around = self._around(heard)
        looks = self._looks(around, heard)
        # While they fire: Prometheus forgets since when, once they do not.
        later = [(one, self._around(one)) for one in self._listener.alerts() if one.name != heard.name]
        load = os.getloadavg()
        injection = Injection(attempt, injected_at, looks, self._repair(attempt, looks, around), load)
        recording = self._recording(attempt.id, injection, heard, around)
        path, repaired = library.add(self._folder, recording), injection.repaired
        took = f"{time.time() - began:.0f} s, {path.stat().st_size / 1000:.0f} kB"
        self._say(f"{attempt.id}: restored in {_seconds(repaired.seconds)} by {repaired.by or 'nothing'}; {took}")
        for one, its in later:
            self._also(injection, one, its)
        return recording

    def _also(self, injection: Injection, heard: Heard, around: Around) -> None:
        """The same injection as its next alert shows it: what the target said after that alert, the metrics as seen
        from its service. Left out where the target was not looked at afterwards, or the signal did not come back.
        """
        attempt, repaired = injection.attempt, injection.repaired
        after = [one for one in injection.looks if one.at >= heard.fired_at]
        signal = signal_of(around.expr or "")
        seconds = None if signal is None or repaired.seconds is None else self._came_back(signal, repaired.began)
        if not after or (attempt.fault.expected_action is not None and seconds is None):
            return
        its = tuple(
            replace(one, answers={**one.answers, **of_metrics(self._metrics, _as_of(around, one.at), seed=0)})
            for one in after
        )
        name = f"{attempt.id}-{heard.name.lower()}"
        seen = replace(injection, looks=its, repaired=replace(repaired, seconds=seconds))
        library.add(self._folder, self._recording(name, seen, heard, around))
        self._say(f"{name}: beside it, {heard.fired_at - injection.at:.0f} s after the fault")

    # --- Before ------------------------------------------------------------------------------------------------------

    def _other_rates(self, rng: random.Random, attempt: Attempt) -> None:
        """Other arrivals, other customers: the load starts anew with rates of its own."""
        usual, factor = Rates(), rng.uniform(*RATES_VARY)
        shop = self._production.shop
        shop.stop_load()
        seed = int.from_bytes(hashlib.sha256(attempt.id.encode()).digest()[:4])
        shop.vary(Rates(usual.reads * factor, usual.writes * factor, usual.browse * factor), seed)
        shop.start_load()

    def _wait_for_quiet(self) -> None:
        """Raises QuietNotReachedError."""
        until = time.monotonic() + QUIET_WITHIN_S
        fired_last = raised_last = time.monotonic()
        while (now := time.monotonic()) - fired_last < QUIET_S or now - raised_last < NOTHING_RAISED_S:
            self._production.group.check()
            states = self._production.running.alerts().values()
            if states:
                raised_last = now
            if "firing" in states:
                fired_last = now
            if now > until:
                raise QuietNotReachedError(f"no {QUIET_S:.0f} s of quiet within {QUIET_WITHIN_S:.0f} s")
            time.sleep(_POLL_S)

    def _first_alert(self, injected_at: float) -> Heard | None:
        left_s = ALERT_WITHIN_S - (time.time() - injected_at)
        heard = self._listener.first_alert(max(1.0, left_s))
        self._production.group.check()
        return heard

    # --- Looks -------------------------------------------------------------------------------------------------------

    def _around(self, heard: Heard) -> Around:
        rule = self._metrics.rule(heard.name, heard.labels)
        since = self._metrics.active_since(heard.name, heard.labels)
        fired = datetime.fromtimestamp(heard.fired_at, UTC)
        active = fired - timedelta(seconds=0.0 if rule is None else rule.for_s)
        if since is not None and since <= active:  # later, when it went off and on again since
            active = since
        return Around(
            service=heard.labels.get("service"),
            target=TARGET,
            expr=None if rule is None else rule.expr,
            start=window_before(active.timestamp()),
            end=fired,
            impact_start=active,
            detected=fired,
            step_s=float(monitoring.SCRAPE_INTERVAL_S),
            metrics=self._wanted,
            graph=monitoring.SERVICE_GRAPH,
            databases=(TARGET,),
            changes=changes_of(self._listener.changes()),
        )

    def _looks(self, around: Around, heard: Heard) -> tuple[Look, ...]:
        looks = []
        for after_s in LOOKS_AT_S:
            time.sleep(max(0.0, heard.received_at + after_s - time.time()))
            looks.append(look(self._reader, self._metrics, around))
        place = str(self._production.place.resolve())
        return tuple(
            Look(
                one.at,
                {name: replace(said, data=elsewhere(said.data, place)) for name, said in one.answers.items()},
                elsewhere(one.tape, place),
            )
            for one in looks
        )

    def _reader(self) -> Diagnosis:
        return Diagnosis(self._production.target_dsn(FENCE.diagnose), TARGET)

    # --- Repair ------------------------------------------------------------------------------------------------------

    def _repair(self, attempt: Attempt, looks: Sequence[Look], around: Around) -> Repaired:
        """The expected action as the target's own findings propose it; where there is none, or it does not help in
        time, the fault's undo. Without an expected action nothing is measured. Raises QuietNotReachedError.
        """
        fault, signal = attempt.fault, signal_of(around.expr or "")
        if fault.expected_action is None or signal is None:
            return Repaired(None, "", time.time(), {})
        each = [proposed(fault, one.answers) for one in looks]
        action = next((one for one in reversed(each) if one is not None), None)
        began = time.time()
        if action is not None and self._run(attempt, action):
            seconds = self._restored(signal, began)
            if seconds is not None:
                return Repaired(seconds, "action", began, must_have(each, action))
        began = time.time()
        self._undo(fault)
        seconds = self._restored(signal, began)
        if seconds is None:
            raise QuietNotReachedError("the signal did not come back, neither by the action nor by the undo")
        return Repaired(seconds, "undo", began, {})

    def _run(self, attempt: Attempt, action: Action) -> bool:
        """As approved: the rendered statements, one after the other."""
        try:
            with psycopg.connect(self._production.admin_dsn, autocommit=True) as connection:
                for step in render(action, attempt.id).steps:
                    connection.execute(step.encode())
        except psycopg.Error as error:
            self._say(f"{attempt.id}: {action.kind} failed: {str(error).strip()[:120]}")
            return False
        self._say(f"{attempt.id}: {action.kind} done")
        return True

    def _restored(self, signal: Signal, began: float) -> float | None:
        """Seconds from began until the signal was good, and stayed so for STEADY_S; None: not in time, counted from
        now, since what was begun may have taken its own.
        """
        good_since: float | None = None
        until = time.time() + RESTORED_WITHIN_S
        while (now := time.time()) < until:
            if self._breached(signal):
                good_since = None
            elif good_since is None:
                good_since = now
            elif now - good_since >= STEADY_S:
                return round(good_since - began, 1)
            time.sleep(_POLL_S)
        return None

    def _came_back(self, signal: Signal, began: float) -> float | None:
        """The same from Prometheus' memory, for a signal that nobody watched; None: it is not good now."""
        now = datetime.now(UTC)
        found = self._metrics.query_range(signal.query, datetime.fromtimestamp(began, UTC), now, 1.0)
        if isinstance(found, NoData):
            return None
        bad = [
            float(at)
            for one in found
            for at, value in zip(one.times, one.values, strict=True)
            if np.isnan(value) or signal.breached(float(value))
        ]
        since = max(bad, default=began) + (1.0 if bad else 0.0)
        return round(since - began, 1) if now.timestamp() - since >= STEADY_S else None

    def _breached(self, signal: Signal) -> bool:
        """A signal without a value is not known to be good."""
        answer = httpx.get(
            f"{self._production.prometheus.url}/api/v1/query", params={"query": signal.query}, trust_env=False
        ).json()
        values = [float(one["value"][1]) for one in answer["data"]["result"]]
        return not values or any(value != value or signal.breached(value) for value in values)  # noqa: PLR0124 NaN

    def _undo(self, fault: Fault) -> None:
        try:
            fault.undo(self._production.running)
        except (CannotInjectError, psycopg.Error, httpx.HTTPError) as error:
            self._say(f"{fault.name}: undo: {str(error).strip()[:160]}")

    # --- After -------------------------------------------------------------------------------------------------------

    def _recording(self, name: str, injection: Injection, heard: Heard, around: Around) -> Recording:
        """name: of the recording, which is the attempt's but for what is seen beside its first alert."""
        fault, looks, repaired = injection.attempt.fault, injection.looks, injection.repaired
        rule = self._metrics.rule(heard.name, heard.labels)
        signal = signal_of(around.expr or "")
        now = datetime.now(UTC)
        whole = replace(around, end=now)
        return Recording(
            id=name,
            fault=fault.name,
            seed=injection.attempt.seed,
            recorded_at=now.isoformat(timespec="seconds"),
            alert=Alert(
                labels=heard.labels,
                annotations=heard.annotations,
                injected_at=round(injection.at, 3),
                active_at=round(around.impact_start.timestamp(), 3),
                fired_at=round(heard.fired_at, 3),
                received_at=round(heard.received_at, 3),
                expr=around.expr or "",
                for_s=0.0 if rule is None else rule.for_s,
            ),
            service=around.service or "",
            target=around.target,
            answers={asked: tuple(one.answers[asked] for one in looks) for asked in sorted(looks[0].answers)},
            looked_at=tuple(round(one.at, 3) for one in looks),
            samples=samples(self._metrics, whole, signal.query if signal else "", self._wanted),
            changes=self._listener.changes(),
            graph=monitoring.SERVICE_GRAPH,
            truth=Truth(
                fault=fault.name,
                component=fault.component,
                mechanism=fault.mechanism_id,
                action=fault.expected_action,
                restore_s=repaired.seconds,
                also=fault.also,
                params=repaired.params,
            ),
            restored_by=repaired.by,
            load=(round(injection.load[0], 2), round(injection.load[1], 2), round(injection.load[2], 2)),
            versions=self._versions(),
            tape=tuple(one.tape for one in looks),
        )

    def _versions(self) -> dict[str, str]:
        with psycopg.connect(self._production.admin_dsn) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        postgres = str(row[0]) if row else ""
        return {
            "postgresql": postgres,
            "prometheus": self._production.prometheus.version,
            "alertmanager": self._production.alertmanager.version,
        }

    def miss(self, attempt: Attempt, why: str, *, lab_failed: bool = False) -> None:
        """Notes in the manifest that there is no recording of it. lab_failed: the fault is not to blame."""
        self._say(f"{attempt.id}: missed: {why[:160]}")
        self._folder.mkdir(parents=True, exist_ok=True)
        manifest = library.read_manifest(self._folder)
        manifest.missed.append(
            {
                "fault": attempt.fault.name,
                "seed": attempt.seed,
                "why": why[:300],
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "load": [round(one, 2) for one in os.getloadavg()],
                "lab_failed": lab_failed,
            }
        )
        library.write_manifest(self._folder, manifest)


def _as_of(around: Around, at: float) -> Around:
    return replace(around, end=datetime.fromtimestamp(at, UTC))


def _seconds(value: float | None) -> str:
    return "no time known" if value is None else f"{value:.0f} s"


def proposed(fault: Fault, answers: Mapping[str, Said]) -> Action | None:
    """The expected action with the parameters that the target's findings name, its own mechanism's first. Where its own
    proposes another action (an invalid index can be dropped or built anew), with those of them that this one takes.
    """
    kind = fault.expected_action or ""
    own = f"database:{fault.mechanism_id}"
    for asked in (own, *sorted(answers)):
        said = answers.get(asked)
        if said is None or said.status != "yes":
            continue
        for finding in said.data.get("findings", ()):
            proposed = finding.get("action") or {}
            if proposed.get("kind") == kind:
                return _built(kind, proposed.get("params", {}))
            if asked == own and proposed:
                other = proposed.get("params", {})
                return _built(kind, {name: other[name] for name in parameters_of(kind) if name in other})
    advised = answers.get("database:index_would_help")
    if kind == "create_index_concurrently" and advised is not None and advised.status == "yes":
        return _built(kind, {name: advised.data[name] for name in parameters_of(kind) if name in advised.data})
    return None


def _built(kind: str, params: Mapping[str, Any]) -> Action | None:
    try:
        return action_from_params(kind, params)
    except UnknownAction:
        return None


_TELLING = ("schema", "table", "index", "role", "pid")
"""Parameters that say what is acted on; columns and values may differ and still repair it."""


def must_have(each: Sequence[Action | None], done: Action) -> dict[str, Any]:
    """What any repair must name: of _TELLING what the action that was done and those of every look agree on. A session
    that comes anew has another pid each time, and so is not part of it.
    """
    if any(one is None for one in each):
        return {}
    looked = [action_to_params(one) for one in each if one is not None]
    return {
        name: value
        for name, value in action_to_params(done).items()
        if name in _TELLING and all(one.get(name) == value for one in looked)
    }


def chosen(names: Sequence[str]) -> tuple[Fault, ...]:
    """Faults by name, all of them without names. Raises ValueError."""
    return tuple(named(name) for name in names) if names else FAULTS


def record_all(attempts: Sequence[Attempt], folder: Path, start: Callable[[Listener], Production], say: Say) -> int:
    """Every attempt on one lab, on a new one where it did not calm down. start: brings a lab up that sends to the
    listener. Returns how many were recorded.
    """
    left, made, failures = list(attempts), 0, 0
    while left:
        with Listener() as listener, start(listener) as production:
            recorder = Recorder(production, listener, folder, say)
            try:
                while left:
                    made += recorder.record(left[0]) is not None
                    left.pop(0)
                    failures = 0
            except (QuietNotReachedError, ServerFailed, httpx.HTTPError) as error:
                failures += 1
                say(f"{left[0].id}: {error}; a new lab is brought up")
                recorder.miss(left[0], f"the lab failed: {error}", lab_failed=True)
                if failures > LAB_TRIES:
                    left.pop(0)
    return made
