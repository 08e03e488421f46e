"""One store server for the whole run, started by the first test that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.embedded.process import ProcessGroup
from tests.connectors.store.database import StoreServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database


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
