"""Parents are deleted one by one, and each delete reads the whole child table."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from lab.provoke.server import TroubledServer

_PARENTS = (
    "CREATE TABLE public.guests AS SELECT g AS id FROM generate_series(1, 30000) g",
    "ALTER TABLE public.guests ADD PRIMARY KEY (id)",
    "ANALYZE public.guests",
)
_CHILDREN = (
    "CREATE TABLE public.visits AS SELECT g AS id, g % 10 + 1 AS guest_id FROM generate_series(1, 40000) g",
    "ALTER TABLE public.visits ADD FOREIGN KEY (guest_id) REFERENCES public.guests (id)",
    "ANALYZE public.visits",
)


@contextlib.contextmanager
def _deletes(server: TroubledServer) -> Iterator[None]:
    guests = itertools.count(100)

    def forget_one(session: psycopg.Connection) -> None:
        session.execute("DELETE FROM guests WHERE id = %s", (next(guests),))

    with table(server, "guests", *_PARENTS), table(server, "visits", *_CHILDREN), at_work(server, forget_one):
        yield


SCENARIOS = (
    Scenario(
        "foreign_key_without_index",
        "guests without visits are deleted; nothing leads from a guest to its visits",
        _deletes,
        look_alikes=("missing_index", "write_surge", "table_bloat"),
        window_s=1.2,
    ),
)
