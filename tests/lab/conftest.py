"""A small shop on a real PostgreSQL, for the tests marked `integration`."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup, free_port
from lab.shop.seed import APP_ROLE, DATABASE, EXPORTER_ROLE, customers_for, seed, set_password
from lab.topology import TARGET_SETTINGS, Rates, Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ROWS = 20_000


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether it came true in time; says nothing of when."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@dataclass(frozen=True, slots=True)
class Target:
    """Also the surroundings of a fault that needs nothing but the database."""

    group: ProcessGroup
    postgres: EmbeddedPostgres
    password: str
    rows: int
    customers: int

    @property
    def admin_dsn(self) -> str:
        return self.postgres.dsn(database=DATABASE)

    @property
    def app_dsn(self) -> str:
        return self.dsn(APP_ROLE)

    def control(self, service: str) -> str:
        """No shop runs here: whoever needs one is told that nobody listens."""
        return f"http://127.0.0.1:{free_port()}/control?{service}"

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        raise AssertionError(f"nobody listens for {service} {version} {summary}")

    def dsn(self, role: str) -> str:
        return self.postgres.dsn(role, self.password, DATABASE)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    place: Path = tmp_path_factory.mktemp("lab")
    with ProcessGroup(place / "run", lambda _line: None) as group:
        postgres = EmbeddedPostgres(
            group,
            "target",
            place / "target",
            log_path=place / "target.log",
            progress=lambda _line: None,
            settings={**TARGET_SETTINGS, "shared_buffers": "64MB"},
        )
        postgres.start()
        password = secrets.token_urlsafe(12)
        seed(postgres.dsn(), _ROWS, lambda _phase, _share: None)
        for role in (APP_ROLE, EXPORTER_ROLE):
            set_password(postgres.dsn(), role, password)
        yield Target(group, postgres, password, _ROWS, customers_for(_ROWS))
        postgres.stop()
        postgres.remove()


@pytest.fixture(scope="session")
def shop(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(
        target.group,
        app_dsn=target.dsn(APP_ROLE),
        exporter_dsn=target.dsn(EXPORTER_ROLE),
        log_dir=tmp_path_factory.mktemp("shop"),
        rows=target.rows,
        rates=Rates(reads=20, writes=10, browse=10),
    )
    shop.start()
    # The orders service opens its pools behind its first answer.
    assert eventually(lambda: httpx.get(f"{shop.storefront_url}/customers/1/orders").status_code == httpx.codes.OK)
    yield shop
    shop.stop()
