"""A real Alertmanager on a loopback port that sends every alert to one webhook."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from connectors.embedded.debian import data_beside
from connectors.embedded.process import Child, ProcessGroup, Progress, free_port, plain_environment
from connectors.embedded.prometheus import answers_ok, find_program, program_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ADVICE = (
    "install Alertmanager 0.25 or later and put it on PATH "
    "(Debian: apt-get install prometheus-alertmanager; https://prometheus.io/download)"
)
RECEIVER = "stanch"
# Debian's Alertmanager reads its default templates from here at the start, used or not.
DEBIAN_TEMPLATES = "/usr/share/prometheus/alertmanager"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where alerts go; the token is sent as `Authorization: Bearer` and kept in a file of mode 0600."""

    url: str
    token: str
    send_resolved: bool = True


class EmbeddedAlertmanager:
    """`route`: Alertmanager's own keys (group_by, group_wait, group_interval, repeat_interval), without a receiver."""

    product = "Alertmanager"

    def __init__(
        self,
        group: ProcessGroup,
        name: str,
        directory: Path,
        *,
        log_path: Path,
        cache_dir: Path,
        progress: Progress,
        webhook: Webhook,
        route: Mapping[str, Any],
        port: int | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.port = port or free_port()
        self.directory = directory
        self.webhook = webhook
        self.route = {**route, "receiver": RECEIVER}
        self._group = group
        self._progress = progress
        names = ("alertmanager", "prometheus-alertmanager")
        self._program, self.origin = find_program(names, "prometheus-alertmanager", ADVICE, cache_dir, progress)
        self.version = program_version(self._program)
        self._working_dir = directory
        if self.origin == "debian package":
            self._program, self._working_dir = data_beside(self._program, DEBIAN_TEMPLATES)
        self.child: Child | None = None

    @property
    def address(self) -> str:
        """As Prometheus wants it in `alertmanagers`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Write the configuration, start, return when it takes alerts. Raises ServerFailed."""
        self._progress(f"{self.name}: starting {self.product} {self.version} ({self.origin}) on port {self.port}")
        self.write_configuration()
        self.child = self._group.start(
            self.name,
            [
                self._program,
                f"--config.file={self.directory.resolve() / 'alertmanager.yaml'}",
                f"--storage.path={self.directory.resolve() / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",  # alone: no gossip port
            ],
            log_path=self.log_path,
            ready=lambda: answers_ok(f"{self.url}/-/ready"),
            env=plain_environment(),
            cwd=self._working_dir,
            port=self.port,
            timeout_s=timeout_s,
        )

    def stop(self) -> None:
        self._group.end(self.name)
        self.child = None

    def remove(self) -> None:
        """Delete configuration, token and state of a stopped server."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def write_configuration(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        token_path = self.directory.resolve() / "webhook.token"
        token_path.touch(mode=0o600)
        token_path.chmod(0o600)
        token_path.write_text(self.webhook.token, encoding="utf-8")
        hook = {
            "url": self.webhook.url,
            "send_resolved": self.webhook.send_resolved,
            "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(token_path)}},
        }
        configuration = {"route": self.route, "receivers": [{"name": RECEIVER, "webhook_configs": [hook]}]}
        text = yaml.safe_dump(configuration, sort_keys=False)
        (self.directory / "alertmanager.yaml").write_text(text, encoding="utf-8")
