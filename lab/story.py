"""The demo told on a terminal as it happens, or plainly into a log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

STYLES = {
    "fault": "bold red",
    "Prometheus": "yellow",
    "Alertmanager": "yellow",
    "proposal": "bold",
    "approved": "green",
    "valid": "green",
    "restored": "green",
    "verified": "bold green",
    "outcome": "bold",
}


class Story:
    """Lines with a time and an actor; bars only where a terminal is."""

    def __init__(self, console: Console | None = None, *, live: bool | None = None) -> None:
        """Live False: no bar that is drawn again and again, as for a record of a run; None: as the console is."""
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._width = 13
        self._live = live

    @property
    def live(self) -> bool:
        return self.console.is_terminal if self._live is None else self._live

    def chapter(self, name: str, text: str) -> None:
        self.console.print(Text.assemble((f"  {name:<{self._width}}", "dim"), text))

    def line(self, actor: str, text: str, at: float | None = None) -> None:
        clock = datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%H:%M:%S")
        who = (f"{actor:<{self._width}}", STYLES.get(actor, ""))
        self.console.print(Text.assemble((f"{clock}  ", "dim"), who, text))

    def under(self, text: str, style: str = "") -> None:
        self.console.print(Text.assemble(" " * (self._width + 10), (text, style)))

    def plain(self, text: str = "") -> None:
        self.console.print(Text(text))

    def wait(self, name: str, seconds: float, note: Callable[[], str], check: Callable[[], None]) -> None:
        """Shows that time passes; note: what there is to see meanwhile. check raises when there is no point."""
        if not self.live:
            self.chapter(name, f"{seconds:.0f} s so that there is something to compare with")
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                check()
                time.sleep(min(1.0, left))
            self.chapter("", note())
            return
        columns = (TextColumn(f"  [dim]{name:<{self._width}}[/dim]"), BarColumn(20), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, refresh_per_second=4) as bar:
            task = bar.add_task("", total=seconds)
            start = time.monotonic()
            while (gone := time.monotonic() - start) < seconds:
                check()
                bar.update(task, completed=gone, description=f"{gone:2.0f} of {seconds:.0f} s   {note()}")
                time.sleep(0.5)
            bar.update(task, completed=seconds, description=f"{seconds:.0f} s   {note()}")
