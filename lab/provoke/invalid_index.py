"""A concurrent build was broken off, or met duplicates, and its index stayed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg

from lab.provoke.scenario import Scenario
from lab.provoke.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = "CREATE TABLE public.parcels AS SELECT g AS id, g % 100 AS van FROM generate_series(1, 1000) g"


@contextlib.contextmanager
def _broken_off(server: TroubledServer) -> Iterator[None]:
    with table(server, "parcels", _MADE):
        with server.session("slow writer") as writer, psycopg.connect(server.deploy, autocommit=True) as owner:
            writer.execute("UPDATE parcels SET van = 1 WHERE id = 1")
            owner.execute("SET lock_timeout = '200ms'")
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                owner.execute("CREATE INDEX CONCURRENTLY parcels_van ON public.parcels (van)")
        yield


@contextlib.contextmanager
def _duplicates(server: TroubledServer) -> Iterator[None]:
    with table(server, "parcels", _MADE):
        with (
            psycopg.connect(server.deploy, autocommit=True) as owner,
            contextlib.suppress(psycopg.errors.UniqueViolation),
        ):
            owner.execute("CREATE UNIQUE INDEX CONCURRENTLY parcels_van ON public.parcels (van)")
        yield


SCENARIOS = (
    Scenario("invalid_index", "a build gave up waiting for a writer", _broken_off, window_s=0.1),
    Scenario("invalid_index", "a unique build met duplicates", _duplicates, window_s=0.1),
)
