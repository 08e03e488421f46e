"""Sets up .venv and .venv/bin/stanch: `python3 bootstrap.py [run|test]`. Standard library only.

Does nothing when the pinned requirements have not changed since the last time. Installs with uv, which takes a
third of pip's time, under the user's own pip configuration; with pip itself when uv cannot be had or fails.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
STAMP = VENV / "stanch-installed.json"
OLDEST = (3, 11)
SAY_EVERY_S = 15.0
UNREACHABLE = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeout",
    "SSLError",
    "dns error",
    "tcp connect error",
)

# What is needed to test holds what is needed to run.
REQUIREMENTS = {"run": ROOT / "requirements.txt", "test": ROOT / "requirements-test.txt"}

# Heavy imports, once, so that their bytecode is written now and no later start pays for it: dowhy and what it
# brings take 17 s of processor time uncompiled, 3 s compiled. Compiling everything would take over a minute.
WARM_UP = (
    "import dowhy.gcm, statsmodels.api, statsmodels.tsa.seasonal, pandas, celery.bin.celery, celery.worker, "
    "celery.concurrency.prefork, kombu.transport.redis, fastapi, uvicorn, psycopg, psycopg_pool, sqlglot, "
    "prometheus_api_client, prometheus_client, httpx, rich.live, structlog, jinja2, yaml, pydantic_settings"
)

# The rooms have generic names. PYTHONPATH puts them before site-packages, and PYTHONSAFEPATH keeps the current
# directory, which may hold another `agent`, out of it; both reach the processes that stanch itself starts.
LAUNCHER = """\
#!/bin/sh
# Written by bootstrap.py; works from any directory and through symbolic links.
root=$(dirname -- "$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")")
export PYTHONPATH="$root" PYTHONSAFEPATH=1
unset PYTHONDONTWRITEBYTECODE PYTHONHOME
exec "$root/.venv/bin/python" -m service.cli "$@"
"""


class SetupFailed(Exception):
    """One clear line, and what to do."""


class Clock:
    """Says what is being done, with the seconds since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:5.1f} s] {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 with one line on standard error."""
    extra = arguments[0] if arguments else "run"
    if len(arguments) > 1 or extra not in REQUIREMENTS:
        print("usage: python3 bootstrap.py [run|test]", file=sys.stderr)
        return 2
    try:
        check_python()
        set_up(extra, Clock())
    except SetupFailed as failure:
        print(f"bootstrap: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bootstrap: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def check_python() -> None:
    """Go on with a newer Python when this one is too old and another is there. Raises SetupFailed."""
    if sys.version_info < OLDEST:
        for name in ("python3.13", "python3.12", "python3.11"):
            newer = shutil.which(name)
            if newer:
                os.execv(newer, [newer, *sys.argv])  # noqa: S606 - an absolute path and our own arguments
        have = ".".join(map(str, sys.version_info[:3]))
        raise SetupFailed(f"Python 3.11 or later is needed, this is {have} ({sys.executable}); install python3.11")
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupFailed("Python's venv module is not installed (Debian: apt-get install python3-venv)")


def set_up(extra: str, clock: Clock) -> None:
    if not venv_works():
        clock.say(f"making .venv with Python {sys.version.split()[0]}")
        run([sys.executable, "-m", "venv", "--clear", os.fspath(VENV)], "making .venv", clock, log=None)
    if not installed(extra):
        install(extra, clock)
        clock.say("importing the heavy libraries once, so that later starts find them compiled")
        run([os.fspath(PYTHON), "-c", WARM_UP], "importing what was installed", clock)
        installed_now = {name: digest(name) for name in ("run", "test") if extra in ("test", name)}
        STAMP.write_text(json.dumps(installed_now), encoding="utf-8")
        clock.say("ready")
    write_launcher(VENV / "bin" / "stanch")


def venv_works() -> bool:
    """Whether .venv is there and is of this place and a good Python: a moved checkout or an upgrade breaks one."""
    probe = "import pip, sys; print(sys.prefix, sys.version_info >= (3, 11))"
    try:
        answer = subprocess.run([PYTHON, "-c", probe], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer == f"{VENV} True"


def digest(extra: str) -> str:
    return hashlib.sha256(REQUIREMENTS[extra].read_bytes()).hexdigest()


def installed(extra: str) -> bool:
    try:
        return bool(json.loads(STAMP.read_text(encoding="utf-8")).get(extra) == digest(extra))
    except (OSError, ValueError, AttributeError):
        return False


def install(extra: str, clock: Clock) -> None:
    """Install the pinned packages, by uv or else by pip. Raises SetupFailed."""
    STAMP.unlink(missing_ok=True)
    LOG.unlink(missing_ok=True)
    wanted = REQUIREMENTS[extra]
    count = sum("==" in line for line in wanted.read_text(encoding="utf-8").splitlines())
    pip = [os.fspath(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--no-compile", "--require-hashes"]
    options = uv_options(pip_configuration())
    why_not = "pip's configuration has settings that uv cannot follow"
    if options is not None:
        try:
            install_with_uv(wanted, count, pip, options, clock)
        except SetupFailed as failure:
            why_not = str(failure)
        else:
            return
    clock.say(f"not with uv: {why_not}")
    clock.say(f"installing {count} pinned packages from {wanted.name} with pip (a few minutes)")
    run([*pip, "-r", os.fspath(wanted)], f"installing {wanted.name}", clock)


def install_with_uv(
    wanted: Path, count: int, pip: list[str], options: tuple[list[str], dict[str, str]], clock: Clock
) -> None:
    clock.say("fetching uv, the faster installer")
    run([*pip, "-r", os.fspath(ROOT / "requirements-bootstrap.txt")], "fetching uv", clock)
    clock.say(f"installing {count} pinned packages from {wanted.name} (1.5 GB on disk)")
    arguments, environment = options
    uv = [os.fspath(VENV / "bin" / "uv"), "pip", "install", "--python", os.fspath(PYTHON), "--require-hashes"]
    run([*uv, *arguments, "-r", os.fspath(wanted)], f"installing {wanted.name}", clock, environment)


def pip_configuration() -> dict[str, str]:
    """The user's settings for pip, whichever file or variable they are in; pip says them as `place.name='value'`."""
    said = subprocess.run([PYTHON, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True).stdout
    lines = [line.partition("=") for line in said.splitlines() if "=" in line]
    # Sections for all commands first, then those for `pip install`, then the environment: the later ones win.
    rank = {"global": 0, "install": 1, ":env:": 2}
    split = [(*name.rpartition(".")[::2], ast.literal_eval(value)) for name, _, value in lines]
    known = [(rank[place], name, value) for place, name, value in split if place in rank]
    return {name: str(value) for _, name, value in sorted(known, key=lambda each: each[0])}


def uv_options(settings: dict[str, str]) -> tuple[list[str], dict[str, str]] | None:
    """The same settings for uv, which reads none of pip's: arguments and environment.

    None: one of them decides where packages come from in a way that uv cannot be told.
    """
    # Every package is pinned by hash, so it does not matter which of several indexes it comes from.
    arguments = ["--index-strategy", "unsafe-best-match"]
    environment: dict[str, str] = {}
    for name, value in settings.items():
        if name in ("client-cert", "constraint", "prefix", "target", "root", "user", "no-binary"):
            return None
        if name == "index-url":
            arguments += ["--default-index", value]
        elif name == "extra-index-url":
            arguments += [part for url in value.split() for part in ("--index", url)]
        elif name == "find-links":
            arguments += [part for place in value.split() for part in ("--find-links", place)]
        elif name == "trusted-host":
            arguments += [part for host in value.split() for part in ("--allow-insecure-host", host)]
        elif name == "no-index" and value.lower() in ("1", "true", "yes", "on"):
            arguments.append("--no-index")
        elif name == "cert":
            environment["SSL_CERT_FILE"] = value
        elif name == "proxy":
            environment["ALL_PROXY"] = value
    return arguments, environment


def run(
    argv: list[str], what: str, clock: Clock, environment: dict[str, str] | None = None, log: Path | None = LOG
) -> None:
    """Run a step with its output in the log, saying now and then that it goes on. Raises SetupFailed."""
    variables = {**os.environ, **(environment or {})}
    # The caller's may point elsewhere, and bytecode is to be written.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        variables.pop(name, None)
    out = log.open("ab") if log else subprocess.PIPE
    try:
        step = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=variables)
        lines = watch(step, what, clock, log)
    finally:
        if log:
            out.close()  # type: ignore[union-attr]
    if step.returncode != 0:
        where = f" (all of it: {log})" if log else ""
        raise SetupFailed(f"{what} failed: {telling_line(lines)}{where}")


def watch(step: subprocess.Popen[bytes], what: str, clock: Clock, log: Path | None) -> list[str]:
    """Wait for a step's end; returns what it wrote."""
    written = b""
    while True:
        try:
            written = step.communicate(timeout=SAY_EVERY_S)[0] or b""
            break
        except subprocess.TimeoutExpired:
            clock.say(f"still {what}")
        except BaseException:
            step.terminate()
            step.wait()
            raise
    return (log.read_bytes() if log else written).decode("utf-8", errors="replace").splitlines()


def telling_line(lines: list[str]) -> str:
    """The line that says what went wrong: the last one with `error` in it, else the last one.

    Behind an index that cannot be reached pip ends with "No matching distribution", which misleads.
    """
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if "error" in line.lower()]
    line = (errors or said or ["it said nothing"])[-1]
    unreachable = any(sign in text for text in said for sign in UNREACHABLE)
    return f"the package index cannot be reached ({line})" if unreachable else line


def write_launcher(path: Path) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == LAUNCHER:
        return
    unfinished = path.with_suffix(".new")
    unfinished.write_text(LAUNCHER, encoding="utf-8")
    unfinished.chmod(0o755)
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
