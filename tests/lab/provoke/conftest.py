"""One troubled server for all scenarios: each leaves it as it found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.embedded.process import ProcessGroup
from lab.provoke.server import TroubledServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledServer]:
    place = tmp_path_factory.mktemp("troubled")
    with ProcessGroup(place / "run", lambda _: None) as group:
        server = TroubledServer(group, place)
        server.start()
        yield server
        server.stop()
