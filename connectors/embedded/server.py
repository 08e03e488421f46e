"""What every embedded server has in common, for whoever starts several and tells about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.embedded.account import Origin
    from connectors.embedded.process import Child


class EmbeddedServer(Protocol):
    """`product` and `version` as people say them ("PostgreSQL", "17.10"); `child` is None unless it was started."""

    @property
    def name(self) -> str: ...
    @property
    def product(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def origin(self) -> Origin: ...
    @property
    def port(self) -> int: ...
    @property
    def log_path(self) -> Path: ...
    @property
    def child(self) -> Child | None: ...

    def start(self, timeout_s: float = ...) -> None: ...
    def stop(self) -> None: ...
