"""One shop with Stanch beside it, driven from outside: what a scenario may do to it, and what it may ask."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import psycopg
from psycopg.rows import dict_row

from connectors.embedded.process import last_lines, plain_environment
from lab.faults import named
from lab.monitoring import ALERT, ALERT_EXPRESSION
from lab.production import Production
from lab.slack.workspace import TEAM, form, signed
from lab.stack import PERSON, PROCESSES, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.slack.workspace import Posted, Workspace

T = TypeVar("T")

FAULT = named("missing-index")
UNDONE_BY = "deploy orders-881"
"""The name that the fault's own sessions give the target: what it builds again is not Stanch's."""
CLICKER = "U0ADA"
SIGNAL = ALERT_EXPRESSION.rpartition(" > ")[0]
SLOW_S = 1.5
OVER = frozenset({"resolved", "self_resolved", "closed"})
ENDS = frozenset({"closed", "needs_human"})
BASELINE_S = 60.0
"""Of normal load that a fresh Prometheus needs before there is something to compare with."""
BETWEEN_S = 20.0
"""Of normal load between two incidents."""
SOON_S = 120.0
"""How long one thing may take on a busy machine before a scenario gives up."""
END_S = 300.0
"""How long an incident may take to its end: longer than its verification may."""
CREATE_INDEX = re.compile(
    r"^(?P<at>\S+ \S+ \S+) \[\d+\] (?P<user>[^@]*)@(?P<database>\S*) (?P<application>.*?) LOG: +"
    r"(?:statement|execute [^:]*): *(?P<text>CREATE (?:UNIQUE )?INDEX .*)$",
    re.IGNORECASE,
)


def eventually(what: str, look: Callable[[], T | None], within_s: float = SOON_S, every_s: float = 0.2) -> T:
    """The first answer that is neither None, False nor empty."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s in vain: {what}"
        time.sleep(every_s)


@dataclass(frozen=True, slots=True)
class Built:
    """A CREATE INDEX in the target's own log."""

    user: str
    application: str
    text: str


class SteadyProduction(Production):
    """The lab's production with two other figures, so that many incidents fit into minutes on any machine."""

    def configuration(self) -> dict[str, Any]:
        """Verified over a shorter window."""
        found = super().configuration()
        found["verification"] = {**found["verification"], "window_s": 10.0}
        found["slack"] = {"team": TEAM, "people": {CLICKER: PERSON}}
        return found

    def rule_groups(self) -> list[dict[str, Any]]:
        """The storefront's alert alone, with a limit that a busy machine does not break by itself; the fault's p99 is
        over 3 s.
        """
        [group] = super().rule_groups()
        rule = next(one for one in group["rules"] if one["alert"] == ALERT)
        return [{**group, "rules": [{**rule, "expr": f"{SIGNAL} > {SLOW_S}"}]}]


class Scene:
    """Starts each scenario on a shop that is whole and quiet, with every process running."""

    def __init__(self, production: Production, api: httpx.Client, workspace: Workspace) -> None:
        self.production = production
        self.workspace = workspace
        self.api = api
        self.incident_id: str | None = None
        self._was_quiet = False
        self._log_from = 0
        self._cli_dir = production.place / "cli"
        production.stack.save_cli_access(self._cli_dir)

    # --- Before and after ----------------------------------------------------------------------------------------

    def make_quiet(self) -> None:
        """The fault is undone, everything runs, nothing is open, and load was normal for a while."""
        self.start_what_is_missing()
        FAULT.undo(self.production)
        self.incident_id = None
        quiet_for_s = BETWEEN_S if self._was_quiet else BASELINE_S
        undone_at = time.monotonic()

        def quiet() -> bool:
            return time.monotonic() - undone_at >= quiet_for_s and self._no_alert() and self._all_over()

        eventually("the shop is quiet", quiet, within_s=END_S, every_s=1.0)
        self._was_quiet = True
        self._log_from = len(self._target_log())

    def start_what_is_missing(self) -> None:
        stack = self.production.stack
        running = {child.name for child in self.production.group.children() if child.exit_code() is None}
        for server in (stack.store, stack.broker):
            if server.name not in running:
                self.production.group.end(server.name)
                server.start()
        for name in PROCESSES:
            if name not in running:
                self.production.group.end(name)
                stack.start_process(name)

    def _no_alert(self) -> bool:
        """Not even a pending one."""
        url = f"{self.production.prometheus.url}/api/v1/alerts"
        return not httpx.get(url, trust_env=False).json()["data"]["alerts"]

    def _all_over(self) -> bool:
        """A resolved notification has come for each alert; what still waits for a human is closed by one."""
        over = True
        for row in self.api.get("/api/v1/incidents", params={"limit": 20}).json()["incidents"]:
            firing = any(one["status"] == "firing" for one in self.incident(row["id"])["alerts"])
            if row["state"] == "needs_human" and not firing:
                self.api.post(f"/api/v1/incidents/{row['id']}/close", json={"reason": "the scenario is over"})
            over = over and not firing and row["state"] in OVER
        return over

    # --- What a scenario does ------------------------------------------------------------------------------------

    def break_the_shop(self) -> str:
        """Drops the index under load; returns the incident that Alertmanager's own notification opened."""
        before = self._newest()
        self.production.inject(FAULT)
        number = eventually("an incident was opened", lambda: (n := self._newest()) > before and n, every_s=0.05)
        self.incident_id = f"INC-{number}"
        return self.incident_id

    def repair_by_hand(self) -> None:
        FAULT.undo(self.production)

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """`stanch …` in another terminal of the demo's owner."""
        env = plain_environment(**{"STANCH_DATA_DIR": str(self._cli_dir), **settings})
        argv = [sys.executable, "-m", "service.cli", *arguments]
        return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=ROOT, env=env, timeout=SOON_S)

    def approve(self, key: str) -> None:
        done = self.command("approve", key)
        assert done.returncode == 0, done.stderr

    def click(self, message: Posted, action_id: str) -> None:
        """The button is pressed in Slack, by the demo's person, as Slack tells it."""
        body = form(self.workspace.press(message, action_id, CLICKER))
        url = f"{self.production.stack.url}/slack/interactivity"
        answer = httpx.post(url, content=body, headers=signed(body), trust_env=False)
        assert answer.status_code == httpx.codes.OK, answer.text

    def decide(self, key: str, decision: str) -> httpx.Response:
        """The decision as the API takes it, on the revision that is shown now."""
        fix = self.incident(key)["proposal"]
        return self.api.post(
            f"/api/v1/approvals/{fix['approval']['id']}/decision",
            json={"decision": decision, "revision": fix["revision"], "digest": fix["digest"]},
        )

    def kill(self, name: str) -> None:
        """SIGKILL: nothing is put away, nothing is told."""
        child = next(one for one in self.production.group.children() if one.name == name)
        child.signal(signal.SIGKILL)
        assert child.wait(10.0) == -signal.SIGKILL
        self.production.group.end(name)

    def start_again(self, name: str) -> int:
        """The new process id."""
        return self.production.stack.start_process(name).pid

    @contextmanager
    def policy(self, **changed: Any) -> Iterator[None]:
        """Other limits, as an operator sets them: in stanch.yaml, read when the worker starts."""
        production, usual = self.production, self.production.scale
        production.scale = replace(usual, policy=(*usual.policy, *changed.items()))
        self._configure_worker()
        try:
            yield
        finally:
            production.scale = usual
            self._configure_worker()

    def _configure_worker(self) -> None:
        production = self.production
        production.stack.configure(production.configuration(), prometheus_url=production.prometheus.url)
        production.group.end("worker-agent")
        production.stack.start_process("worker-agent")

    @contextmanager
    def writer_in_the_way(self) -> Iterator[psycopg.Connection[Any]]:
        """An open transaction that wrote to the table: a concurrent build waits for it, so it cannot end too soon."""
        with psycopg.connect(self.production.admin_dsn, application_name="open transaction") as connection:
            connection.execute("LOCK TABLE public.orders IN ROW EXCLUSIVE MODE")
            yield connection
            connection.rollback()

    # --- What a scenario asks ------------------------------------------------------------------------------------

    def incident(self, key: str) -> dict[str, Any]:
        answer = self.api.get(f"/api/v1/incidents/{key}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def until(self, key: str, what: str, holds: Callable[[Mapping[str, Any]], Any], **pace: float) -> dict[str, Any]:
        """The incident as soon as something holds of it; the API may be away meanwhile."""

        def look() -> dict[str, Any] | None:
            try:
                found = self.incident(key)
            except (httpx.HTTPError, ValueError):
                return None
            return found if holds(found) else None

        return eventually(f"{key}: {what}", look, **pace)

    def until_state(self, key: str, *states: str) -> dict[str, Any]:
        return self.until(key, " or ".join(states), lambda one: one["state"] in states)

    def until_proposed(self, key: str) -> dict[str, Any]:
        found = self.until_state(key, "awaiting_approval", "needs_human", *OVER)
        assert found["state"] == "awaiting_approval", found["why"]
        return found

    def until_told(self, key: str, state: str) -> dict[str, Any]:
        """In that state, with its postmortem written."""
        what = f"{state} with a postmortem"
        found = self.until(key, what, lambda one: one["state"] in ENDS and one["postmortem"], within_s=END_S)
        assert found["state"] == state, found["why"]
        return found

    def builds(self) -> list[Built]:
        """Each CREATE INDEX that the target logged in this scenario, the fault's own undoing left out."""
        lines = self._target_log()[self._log_from :].splitlines()
        found = [match for line in lines if (match := CREATE_INDEX.match(line)) is not None]
        built = [Built(one["user"], one["application"], one["text"]) for one in found]
        return [one for one in built if one.application != UNDONE_BY]

    def indexes(self) -> dict[str, bool]:
        """Name → valid, of the table that the fault broke; from the target's catalog."""
        return {row["name"]: row["valid"] for row in self.ask_target(
            "SELECT c.relname AS name, i.indisvalid AND i.indisready AS valid FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'public.orders'::regclass"
        )}  # fmt: skip

    def building(self) -> dict[str, Any] | None:
        """The running build, None when there is none: {"pid", "phase"}."""
        rows = self.ask_target("SELECT pid, phase FROM pg_stat_progress_create_index")
        return rows[0] if rows else None

    def writes_between(self, start: float, end: float) -> int:
        """How many orders were committed."""
        answer = httpx.get(
            f"{self.production.shop.load_url}/gaps", params={"since": start, "until": end}, trust_env=False
        )
        count: int = answer.json()["writes"]
        return count

    def ask_target(self, text: str) -> list[dict[str, Any]]:
        return _ask(self.production.admin_dsn, text)

    def ask_store(self, text: str, *values: Any) -> list[dict[str, Any]]:
        return _ask(self.production.stack.store.dsn(), text, *values)

    def _newest(self) -> int:
        try:
            found = self.api.get("/api/v1/incidents", params={"limit": 1}).json()["incidents"]
        except (httpx.HTTPError, ValueError, KeyError):
            return 0
        return int(found[0]["id"].removeprefix("INC-")) if found else 0

    def _target_log(self) -> str:
        return (self.production.place / "logs" / "target.log").read_text(encoding="utf-8", errors="replace")

    def account(self) -> list[tuple[str, str]]:
        """For a failure's report: the incident's timeline and the end of every log."""
        logs = sorted((self.production.place / "logs").glob("*.log"))
        ends = [(path.name, "\n".join(line[:400] for line in last_lines(path, 12))) for path in logs]
        return [("the incident", self._timeline()), ("p99 of the storefront", self._signal()), *ends]

    def _signal(self) -> str:
        """Of the last four minutes: did the shop itself recover, or did Stanch not see it?"""
        now = time.time()
        params: dict[str, Any] = {"query": SIGNAL, "start": now - 240, "end": now}
        try:
            answer = httpx.get(
                f"{self.production.prometheus.url}/api/v1/query_range", params={**params, "step": 5}, trust_env=False
            ).json()
        except (httpx.HTTPError, ValueError) as error:
            return f"Prometheus does not answer: {error}"
        values = [value for one in answer["data"]["result"] for value in one["values"]]
        return "  ".join(f"{time.strftime('%H:%M:%S', time.gmtime(at))} {float(p99):.2f}" for at, p99 in values)

    def _timeline(self) -> str:
        try:
            found = self.incident(self.incident_id or f"INC-{self._newest()}")
        except (httpx.HTTPError, ValueError) as error:
            return f"the API does not answer: {error}"
        lines = [f"{found['id']} {found['state']} {found['outcome']} {found['why']}"]
        lines += [f"execution {one['state']}: {one['detail']}" for one in found["executions"]]
        lines += [f"{one['at'][11:23]} {one['actor']}: {one['action']} {one['note']}" for one in found["timeline"]]
        return "\n".join(lines)


def _ask(dsn: str, text: str, *values: Any) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row, connect_timeout=5) as connection:
        return connection.execute(text.encode(), values or None).fetchall()
