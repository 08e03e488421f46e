from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.app_world import App, app_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database


@pytest.fixture(scope="module")
def app(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = app_on(database, tmp_path_factory.mktemp("app"))
    yield made
    made.close()
