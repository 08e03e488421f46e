"""The shop's pools on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lab.shop.database import pool

if TYPE_CHECKING:
    from tests.lab.conftest import Target

pytestmark = pytest.mark.integration

MOST = 8


def test_a_pool_that_had_to_grow_gives_its_connections_back_to_the_server(target: Target) -> None:
    async def use() -> tuple[int, int]:
        grown = pool(target.app_dsn, "shop-test", "products", 1, MOST)
        await grown.open()
        try:
            lent = [await grown.getconn() for _ in range(MOST)]
            most = grown.get_stats()["pool_size"]
            for connection in lent:
                await grown.putconn(connection)
            for _ in range(200):
                await asyncio.sleep(0.1)
                if grown.get_stats()["pool_size"] == 1:
                    break
            return most, grown.get_stats()["pool_size"]
        finally:
            await grown.close()

    assert asyncio.run(use()) == (MOST, 1)
