"""Makes the pictures in docs/pictures from a real run: `python -m lab.pictures docs/pictures`.

Two incidents are run, so that the pages have a past; the second is photographed. Needs Debian's chromium (or Google
Chrome) on PATH and the packages of the test extra. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from connectors.embedded.process import ServerFailed
from lab.demo import Teller, approve_at_once, normal_load, set_up, summary
from lab.faults import named
from lab.production import Production, Scale, free_place
from lab.story import Story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from playwright.sync_api import Browser, BrowserContext

ROOT = Path(__file__).resolve().parent.parent
FAULT = "missing-index"
WAIT_MS = 30_000
"""For one thing that a browser does, on a busy machine."""
SETTLE_MS = 900
"""Until charts and graph are drawn after a page came."""
QUIET_S = 240.0
"""How long the alert of the first incident may take to go quiet before the second."""
CALM_S = 120.0
"""Normal load between the two: what the second is compared with must not be the first."""
COLOURS = 96
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


@dataclass(frozen=True, slots=True)
class Shot:
    """A page. stranger: as somebody sees it who is not logged in."""

    name: str
    path: str
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A way to look at a page. tallest: pixels, what is below is left out."""

    suffix: str
    width: int
    tallest: int
    dark: bool = False


LOOKS = (Look("", 1280, 1700), Look("-dark", 1280, 900, dark=True), Look("-phone", 360, 1400))
WAITING = (
    Shot("overview", "/"),
    Shot("incident-waiting", "/i/{key}"),
    Shot("edit", "/i/{key}/edit"),
)
OVER = (
    Shot("incident-over", "/i/{key}"),
    Shot("postmortem", "/i/{key}/postmortem"),
    Shot("incidents", "/incidents"),
    Shot("audit", "/audit?verify=1"),
    Shot("skills", "/skills"),
    Shot("skill", "/skills/postgres-missing-index"),
    Shot("settings", "/settings"),
    Shot("login", "/login", stranger=True),
)
"""What is photographed while an incident waits for a decision, and when it is over."""


class Camera:
    """One headless Chromium; a context for each look, logged in once."""

    def __init__(self, browser: Browser, out: Path, login_url: str) -> None:
        self._browser = browser
        self._out = out
        self._login_url = login_url
        self._contexts: dict[tuple[str, bool], BrowserContext] = {}

    def take(self, shots: Sequence[Shot], key: str) -> None:
        """Raises ServerFailed when a page does not come in time."""
        for shot in shots:
            for look in LOOKS:
                self._take(shot, look, key)

    def _take(self, shot: Shot, look: Look, key: str) -> None:
        from playwright.sync_api import Error  # noqa: PLC0415 only whoever makes pictures has it

        origin = self._login_url.partition("/enter")[0]
        address = origin + shot.path.format(key=key)
        try:
            page = self._context(look, stranger=shot.stranger).new_page()
            answer = page.goto(address, wait_until="load")
            if answer is None or not answer.ok:
                raise ServerFailed("pages", f"{address} answered {answer.status if answer else 'nothing'}")
            # What is drawn only when it comes into sight has to come into sight.
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            page.wait_for_timeout(SETTLE_MS)
            page.evaluate("window.scrollTo(0, 0)")
            height = min(int(page.evaluate("document.documentElement.scrollHeight")), look.tallest)
            clip: Any = {"x": 0, "y": 0, "width": look.width, "height": height}
            taken = page.screenshot(full_page=True, clip=clip, animations="disabled")
            page.close()
        except Error as error:
            raise ServerFailed("chromium", f"{shot.name}{look.suffix}: {str(error).splitlines()[0]}") from error
        _keep(self._out / f"{shot.name}{look.suffix}.png", taken)

    def _context(self, look: Look, *, stranger: bool) -> BrowserContext:
        held = self._contexts.get((look.suffix, stranger))
        if held is None:
            held = self._browser.new_context(
                viewport={"width": look.width, "height": 800},
                color_scheme="dark" if look.dark else "light",
                reduced_motion="reduce",
            )
            held.set_default_timeout(WAIT_MS)
            if not stranger:
                page = held.new_page()
                page.goto(f"{self._login_url}&next=/skills", wait_until="domcontentloaded")
                page.close()
            self._contexts[look.suffix, stranger] = held
        return held

    def newest(self) -> str:
        """The incident that heads the list. Raises ServerFailed."""
        page = self._context(LOOKS[0], stranger=False).new_page()
        page.goto(self._login_url.partition("/enter")[0] + "/incidents", wait_until="domcontentloaded")
        found = page.locator("a[data-row]").first
        key = found.get_attribute("href") if found.count() else None
        page.close()
        if key is None:
            raise ServerFailed("pages", "there is no incident to photograph")
        return key.removeprefix("/i/")

    def terminal(self, html: str) -> None:
        """What the demo printed."""
        context = self._browser.new_context(viewport={"width": 1290, "height": 400})
        page = context.new_page()
        page.set_content(html, timeout=WAIT_MS)
        _keep(self._out / "terminal.png", page.screenshot(full_page=True, timeout=WAIT_MS))
        context.close()


def _keep(path: Path, taken: bytes) -> None:
    """With as few colours as these pages have, for a third of the bytes."""
    from PIL import Image  # noqa: PLC0415 comes with matplotlib

    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    # The colours that are there most often stay exactly what they are, which no usual choice of a palette promises.
    counted = picture.getcolors(picture.width * picture.height) or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in sorted(counted, reverse=True)[:COLOURS] for part in cast("Any", colour)])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    _say(f"{path.name}: {picture.width} by {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201 progress of a command


@contextmanager
def _browser() -> Iterator[Browser]:
    """Raises ServerFailed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise ServerFailed("chromium", "is not on PATH; install it to make the pictures")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        raise ServerFailed("playwright", "is not installed; it is in the test extra") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=WAIT_MS)
        try:
            yield browser
        finally:
            browser.close()


def make(out: Path) -> None:
    """Two incidents from the alert to the postmortem; the second is photographed while it waits and when it is over."""
    fault = named(FAULT)
    place = free_place(ROOT / "var" / "pictures")
    with _browser() as browser, Production(place, cache=ROOT / ".cache", scale=Scale(), progress=_say) as lab:
        before = Story(Console(highlight=False, file=sys.stderr, soft_wrap=True), live=False)
        set_up(lab, before, time.monotonic())
        normal_load(lab, before)
        Teller(lab, before, approve_at_once(lab, before)).run(fault)
        _say(f"undone; the same once more after {CALM_S:.0f} s, photographed")
        fault.undo(lab)
        _until_quiet(lab)
        _wait(lab, CALM_S)
        console = Console(record=True, highlight=False, width=150, file=sys.stderr, force_terminal=True, soft_wrap=True)
        story = Story(console, live=False)
        camera = Camera(browser, out, lab.stack.login_url)
        run = Teller(lab, story, _photographer(camera, approve_at_once(lab, story))).run(fault)
        story.plain()
        story.under(summary(run), "bold")
        camera.take(OVER, run.incident["id"])
        camera.terminal(console.export_html(theme=THEME, code_format=PAGE))


def _photographer(camera: Camera, approve: Callable[[Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
    def photograph_first(incident: Mapping[str, Any]) -> None:
        camera.take(WAITING, incident["id"])
        approve(incident)

    return photograph_first


def _until_quiet(lab: Production) -> None:
    """Until Alertmanager has nothing that fires, so that the next alert is another one. Raises ServerFailed."""
    import httpx  # noqa: PLC0415 not for retaking one page

    end = time.monotonic() + QUIET_S
    while time.monotonic() < end:
        if not httpx.get(f"{lab.alertmanager.url}/api/v2/alerts", timeout=10.0, trust_env=False).json():
            return
        _wait(lab, 1.0)
    raise ServerFailed("Alertmanager", f"still fires {QUIET_S:.0f} s after the first incident")


def _wait(lab: Production, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lab.stack.mend(_say)
        time.sleep(min(1.0, seconds))


def retake(out: Path, login_url: str, names: Sequence[str], key: str | None) -> None:
    """Pictures of single pages of a running `stanch dev` or `stanch demo`. Raises ServerFailed."""
    wanted = [shot for shot in (*WAITING, *OVER) if shot.name in names] if names else list(OVER)
    with _browser() as browser:
        camera = Camera(browser, out, login_url)
        camera.take(wanted, key or camera.newest())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.pictures", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--at", metavar="URL", help="login address that a running `stanch dev` or `demo` printed")
    parser.add_argument("--page", action="append", default=[], choices=[shot.name for shot in (*WAITING, *OVER)],
                        help="only this page, with --at; again for more")  # fmt: skip
    parser.add_argument("--incident", metavar="INC-1", help="which one, with --at; the newest by default")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    try:
        if asked.at:
            retake(asked.out, asked.at, asked.page, asked.incident)
        else:
            make(asked.out)
    except ServerFailed as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
