"""PostgreSQL clusters for tests that must have one to themselves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from connectors.embedded.postgres import Binaries


@contextmanager
def running(binaries: Binaries, place: Path, settings: Mapping[str, str]) -> Iterator[EmbeddedPostgres]:
    """A cluster made anew in `place`, gone when left."""
    with ProcessGroup(place / "run", lambda _: None) as group:
        postgres = EmbeddedPostgres(
            group,
            f"postgres-{binaries.origin}",
            place / "cluster",
            log_path=place / "postgres.log",
            progress=lambda _: None,
            settings=settings,
            binaries=binaries,
        )
        postgres.start()
        yield postgres
        postgres.stop()
        postgres.remove()
