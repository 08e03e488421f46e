"""A real Prometheus on a loopback port, configured from values."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from connectors.embedded.debian import program_from_package
from connectors.embedded.process import Child, ProcessGroup, Progress, ServerFailed, free_port, plain_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.embedded.account import Origin

ADVICE = "install Prometheus 2.40 or later and put it on PATH (Debian: apt-get install prometheus; https://prometheus.io/download)"


class EmbeddedPrometheus:
    """Scrapes, evaluates rules and alerts as its caller says; its data goes with `remove()`.

    `scrape_configs`, `rule_groups`: as in Prometheus's own files. `global_config`: scrape and evaluation intervals.
    `alertmanagers`: host:port of each. The program is looked for on PATH, then in Debian's package (`cache_dir`).
    """

    product = "Prometheus"

    def __init__(
        self,
        group: ProcessGroup,
        name: str,
        directory: Path,
        *,
        log_path: Path,
        cache_dir: Path,
        progress: Progress,
        scrape_configs: Sequence[Mapping[str, Any]],
        rule_groups: Sequence[Mapping[str, Any]] = (),
        alertmanagers: Sequence[str] = (),
        global_config: Mapping[str, Any] | None = None,
        retention: str = "1d",
        port: int | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.port = port or free_port()
        self.directory = directory
        self.retention = retention
        self.flags = tuple(flags)
        self.configuration = {
            "global": dict(global_config or {}),
            "scrape_configs": [dict(each) for each in scrape_configs],
            "rule_files": [str(directory.resolve() / "rules.yaml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        }
        self.rules = {"groups": [dict(each) for each in rule_groups]}
        self._group = group
        self._progress = progress
        self._program, self.origin = find_program(("prometheus",), "prometheus", ADVICE, cache_dir, progress)
        self.version = program_version(self._program)
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Write the configuration, start, return when it takes queries. Raises ServerFailed."""
        self._progress(f"{self.name}: starting {self.product} {self.version} ({self.origin}) on port {self.port}")
        self.write_configuration()
        self.child = self._group.start(
            self.name,
            [
                self._program,
                f"--config.file={self.directory.resolve() / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self.directory.resolve() / 'data'}",
                f"--storage.tsdb.retention.time={self.retention}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *self.flags,
            ],
            log_path=self.log_path,
            ready=lambda: answers_ok(f"{self.url}/-/ready"),
            env=plain_environment(),
            cwd=self.directory,
            port=self.port,
            timeout_s=timeout_s,
        )

    def stop(self) -> None:
        self._group.end(self.name)
        self.child = None

    def remove(self) -> None:
        """Delete configuration and data of a stopped server."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def write_configuration(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for file_name, value in (("prometheus.yaml", self.configuration), ("rules.yaml", self.rules)):
            (self.directory / file_name).write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


def find_program(
    names: Sequence[str], package: str, advice: str, cache_dir: Path, progress: Progress
) -> tuple[Path, Origin]:
    """On PATH by any of its names, else the last of them out of Debian's package. Raises ServerFailed."""
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found), "system"
    return program_from_package(package, names[-1], cache_dir, advice, progress), "debian package"


def program_version(program: Path) -> str:
    """As `--version` says it. Raises ServerFailed when the program cannot be run."""
    try:
        done = subprocess.run(
            [program, "--version"], check=True, capture_output=True, text=True, env=plain_environment()
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(program.name, f"cannot be run: {program}: {error}") from error
    # Alertmanager 0.25 says it on standard error.
    found = re.search(r"version (\d+\.\d+\.\d+)", done.stdout + done.stderr)
    return found.group(1) if found else "?"


def answers_ok(url: str) -> bool:
    """Whether a loopback address answers with 200."""
    # Without the proxies of the environment: this is our own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False
