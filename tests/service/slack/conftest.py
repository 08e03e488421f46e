from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.slack.scene import scene_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database
    from tests.service.slack.scene import Scene


@pytest.fixture(scope="module")
def scene(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Shared by a module's tests: each brings its own incident."""
    made = scene_on(database, tmp_path_factory.mktemp("slack"))
    yield made
    made.close()


@pytest.fixture
def fresh_scene(fresh_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """For a test that counts what stands in the channel, or takes something away."""
    made = scene_on(fresh_database, tmp_path_factory.mktemp("slack"))
    yield made
    made.close()
