"""Makes the pictures in docs/pictures from a real run: `python -m lab.pictures docs/pictures`.

Needs a Chromium on PATH; nothing else does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from connectors.embedded.process import ServerFailed
from lab.demo import Teller, approve_at_once, normal_load, set_up, summary
from lab.faults import named
from lab.production import Production, Scale, free_place
from lab.story import Story

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
THEME = TerminalTheme(
    (24, 26, 27), (226, 228, 226),
    [(24, 26, 27), (224, 108, 96), (130, 190, 120), (222, 184, 100), (120, 170, 220), (180, 140, 200),
     (110, 190, 190), (226, 228, 226)],
)  # fmt: skip
PAGE = (
    "<!DOCTYPE html><meta charset=UTF-8><style>{stylesheet} body {{background: #181a1b; color: #e2e4e2; margin: 0;"
    " padding: 20px 24px}} pre {{font: 13px/1.5 'IBM Plex Mono', 'DejaVu Sans Mono', monospace; margin: 0;"
    " white-space: pre-wrap}}</style><body><pre><span>$ make demo</span>\n{code}</pre>"
)

OTHERS = (
    ("/", "overview", 1240),
    ("/incidents", "incidents", 420),
    ("/i/{key}/postmortem", "postmortem", 1500),
    ("/audit?verify=1", "audit", 1100),
    ("/skills", "skills", 560),
    ("/skills/postgres-missing-index", "skill", 1300),
    ("/settings", "settings", 1300),
)
"""Address, name and height of the pages beside the incident's own."""


class Camera:
    """Headless Chromium; each picture in a profile of its own."""

    def __init__(self, out: Path) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise ServerFailed("chromium", "is not on PATH; install it to make the pictures")
        self._program = program
        self._out = out

    def take(self, url: str, name: str, *, width: int, height: int, dark: bool = False) -> None:
        with tempfile.TemporaryDirectory() as profile:
            argv = [self._program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            argv += ["--blink-settings=preferredColorScheme=0"] if dark else []
            argv += [f"--screenshot={self._out / name}", url]
            subprocess.run(argv, check=True, capture_output=True, timeout=60)


def make(out: Path) -> None:
    """One incident, photographed while it waits for a decision and when it is over."""
    out.mkdir(parents=True, exist_ok=True)
    camera = Camera(out)
    console = Console(record=True, highlight=False, width=150, force_terminal=True, soft_wrap=True)
    story = Story(console, live=False)
    place = free_place(ROOT / "var" / "pictures")
    with Production(place, cache=ROOT / ".cache", scale=Scale(), progress=lambda _line: None) as lab:
        set_up(lab, story, time.monotonic())
        normal_load(lab, story)
        approve = approve_at_once(lab, story)

        def photograph_first(incident: Mapping[str, Any]) -> None:
            shoot(camera, lab, incident["id"], "waiting")
            approve(incident)

        run = Teller(lab, story, photograph_first).run(named("missing-index"))
        story.plain()
        story.under(summary(run), "bold")
        shoot(camera, lab, run.incident["id"], "over")
        for path, name, height in OTHERS:
            address = f"{lab.stack.login_url}&next={path.format(key=run.incident['id'])}"
            camera.take(address, f"{name}.png", width=1280, height=height)
    text = console.export_html(theme=THEME, code_format=PAGE)
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
        page.write(text)
        page.flush()
        camera.take(f"file://{page.name}", "terminal.png", width=1290, height=60 + 20 * text.count("\n"))


def shoot(camera: Camera, lab: Production, key: str, moment: str) -> None:
    url = f"{lab.stack.login_url}&next=/i/{key}"
    camera.take(url, f"incident-{moment}.png", width=1280, height=1700)
    camera.take(url, f"incident-{moment}-dark.png", width=1280, height=1700, dark=True)
    camera.take(url, f"incident-{moment}-phone.png", width=500, height=1400)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.pictures", description=__doc__)
    parser.add_argument("out", type=Path)
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
