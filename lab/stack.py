"""A whole Stanch on embedded servers: store, broker, and the four processes, each with its own secrets.

Nothing of the caller's environment reaches it: a configured target, store or Prometheus is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import yaml
from psycopg import sql

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import describe_exit, free_port, plain_environment, port_is_taken
from connectors.embedded.prometheus import answers_ok
from connectors.embedded.valkey import EmbeddedValkey
from connectors.store.migrate import migrate
from guardrails.permit import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from connectors.embedded.process import Child, ProcessGroup

ROOT = Path(__file__).resolve().parent.parent
PORT = 8741
STORE_ROLES = ("stanch_api", "stanch_agent", "stanch_executor")
PERSON = "demo@localhost"
STARTS_WITHIN_S = 180.0
"""A busy machine may take a minute for the causal worker's imports alone."""

PROCESSES: Mapping[str, tuple[str, ...]] = {
    "serve": ("serve",),
    "worker-agent": ("worker", "--queue", "agent"),
    "worker-causal": ("worker", "--queue", "causal"),
    "executor": ("executor",),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made for one run; in files of mode 0600, or in the environment of the one process that may have them."""

    signing: SigningKey = field(default_factory=SigningKey.generate)
    alertmanager: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    api_token: str = field(default_factory=lambda: "stn_" + secrets.token_urlsafe(24))
    login_code: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    store: Mapping[str, str] = field(default_factory=lambda: {role: secrets.token_urlsafe(18) for role in STORE_ROLES})


class Stack:
    """place: this run's folder. configuration: stanch.yaml's content; prometheus_url None: none."""

    def __init__(
        self, group: ProcessGroup, place: Path, *, progress: Callable[[str], None], port: int | None = None
    ) -> None:
        self.group = group
        self.place = place
        self.logs = place / "logs"
        self.data_dir = place / "data"
        self.secrets = Secrets()
        self.port = port or free_port()
        self.store = EmbeddedPostgres(
            group, "store", place / "store", log_path=self.logs / "store.log", progress=progress
        )
        self.broker = EmbeddedValkey(group, "broker", log_path=self.logs / "broker.log", progress=progress)
        self.settings: dict[str, Mapping[str, str]] = {}
        """Of single processes, without STANCH_, on top of their own: what a channel needs."""
        self._prometheus_url: str | None = None
        self._starting: dict[str, Future[Child]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login_url(self) -> str:
        return f"{self.url}/enter?code={self.secrets.login_code}"

    @property
    def hook_url(self) -> str:
        return f"{self.url}/webhooks/alertmanager"

    # --- Servers -------------------------------------------------------------------------------------------------

    def start_store(self) -> None:
        """A store of its own, made anew. Raises ServerFailed."""
        self.store.remove()
        # Heads of an earlier store's audit chain would say that the new one was tampered with.
        shutil.rmtree(self.data_dir / "audit", ignore_errors=True)
        self.store.start()
        migrate(self.store.dsn())
        with psycopg.connect(self.store.dsn(), autocommit=True) as connection:
            for role, password in self.secrets.store.items():
                text = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
                connection.execute(text)

    def store_dsn(self, role: str) -> str:
        return self.store.dsn(role, self.secrets.store[role])

    # --- Stanch's own processes ----------------------------------------------------------------------------------

    def configure(self, configuration: Mapping[str, Any], *, prometheus_url: str | None) -> None:
        """Writes stanch.yaml and the tokens file."""
        self._prometheus_url = prometheus_url
        self.place.mkdir(parents=True, exist_ok=True)
        self._config.write_text(yaml.safe_dump(dict(configuration), sort_keys=False), encoding="utf-8")
        entry = {"person": PERSON, "roles": ["admin", "approver", "responder", "viewer"], "sha256": self._token_hash()}
        private(self._tokens, yaml.safe_dump([entry]))

    @property
    def _config(self) -> Path:
        return self.place / "stanch.yaml"

    @property
    def _tokens(self) -> Path:
        return self.place / "tokens.yaml"

    def _token_hash(self) -> str:
        return hashlib.sha256(self.secrets.api_token.encode()).hexdigest()

    def start_processes(self) -> None:
        """All four side by side; returns when the pages answer, `wait_until_ready` when each works.

        The causal worker needs seconds for its imports; nobody has to wait for them to look at the pages. Raises
        ServerFailed.
        """
        starts = ThreadPoolExecutor(thread_name_prefix="start")
        self._starting = {name: starts.submit(self.start_process, name) for name in PROCESSES}
        starts.shutdown(wait=False)
        self._starting["serve"].result()

    def wait_until_ready(self) -> None:
        """Raises ServerFailed for a process that did not start."""
        for each in self._starting.values():
            each.result()

    def start_process(self, name: str) -> Child:
        """Also again, after it was killed. Raises ServerFailed."""
        return self.group.start(
            name,
            [sys.executable, "-m", "service.cli", *PROCESSES[name]],
            log_path=self.logs / f"{name}.log",
            ready=lambda: self._said_ready(name) and (name != "serve" or answers_ok(f"{self.url}/readyz")),
            env=self.environment(name),
            cwd=ROOT,
            port=self.port if name == "serve" else None,
            timeout_s=STARTS_WITHIN_S,
        )

    def _said_ready(self, name: str) -> bool:
        """A worker has no port, and on serve's another could answer: each says in the store that it is there."""
        child = next((one for one in self.group.children() if one.name == name), None)
        if child is None:
            return False
        try:
            with psycopg.connect(self.store.dsn(), autocommit=True, connect_timeout=2) as connection:
                found = connection.execute(
                    "SELECT 1 FROM stanch.process WHERE (detail->>'pid')::int = %s", (child.pid,)
                ).fetchone()
        except psycopg.Error:
            return False
        return found is not None

    def environment(self, name: str) -> dict[str, str]:
        """Each process gets its own secrets and no other's."""
        role = {"serve": "stanch_api", "executor": "stanch_executor"}.get(name, "stanch_agent")
        own = {
            "STORE_DSN": self.store_dsn(role),
            "BROKER_URL": self.broker.url,
            "CONFIG": str(self._config.resolve()),
            "DATA_DIR": str(self.data_dir.resolve()),
            "PUBLIC_URL": self.url,
        }
        if self._prometheus_url and name != "executor":
            own["PROMETHEUS_URL"] = self._prometheus_url
        if name == "serve":
            own |= {
                "SIGNING_KEY": self.secrets.signing.text(),
                "ALERTMANAGER_TOKENS": self.secrets.alertmanager,
                "API_TOKENS_FILE": str(self._tokens.resolve()),
                "BIND_PORT": str(self.port),
                "DEV_LOGIN": f"{self.secrets.login_code}:{PERSON}",
            }
        if name == "executor":
            own["VERIFY_KEYS"] = self.secrets.signing.public_text()
        own |= self.settings.get(name, {})
        return plain_environment(PYTHONUNBUFFERED="1", **{f"STANCH_{key}": value for key, value in own.items()})

    def mend(self, say: Callable[[str], None]) -> None:
        """Starts again what died of ours: an incident goes on where it was, for the store decides.

        Raises ServerFailed for whatever else of the group died.
        """
        starts: dict[str, Callable[[], object]] = {"store": self.store.start, "broker": self.broker.start}
        starts |= {name: partial(self.start_process, name) for name in PROCESSES}
        dead = {child.name: child.exit_code() for child in self.group.children() if child.exit_code() is not None}
        for name in starts:
            code = dead.get(name)
            if code is not None:
                say(f"{name} {describe_exit(code)}; starting it again")
                self.group.end(name)
                starts[name]()
        self.group.check()

    def save_cli_access(self, data_dir: Path) -> None:
        """So that `stanch approve INC-1` works in another terminal of the same owner."""
        private(data_dir / "cli.json", json.dumps({"url": self.url, "token": self.secrets.api_token}))


def usual_port() -> int:
    """The one people know, unless it is taken."""
    return free_port() if port_is_taken(PORT) else PORT


def private(path: Path, text: str) -> Path:
    """A file for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
