from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.incident_world import World

if TYPE_CHECKING:
    from tests.connectors.store.database import Database


@pytest.fixture(scope="module")
def world(database: Database) -> World:
    """Shared by a module's tests: each brings its own incident."""
    return World(database)


@pytest.fixture
def fresh_world(fresh_database: Database) -> World:
    return World(fresh_database)
