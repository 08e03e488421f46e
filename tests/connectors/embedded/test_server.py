from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup
from connectors.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.embedded.server import EmbeddedServer


@pytest.mark.integration
def test_every_server_can_tell_what_it_is_before_it_starts(tmp_path: Path) -> None:
    said: list[str] = []
    with ProcessGroup(tmp_path / "run", said.append) as group:
        servers: list[EmbeddedServer] = [
            EmbeddedPostgres(group, "store", tmp_path / "store", log_path=tmp_path / "store.log", progress=said.append),
            EmbeddedValkey(group, "broker", log_path=tmp_path / "broker.log", progress=said.append),
        ]
        assert [server.name for server in servers] == ["store", "broker"]
        assert servers[0].product == "PostgreSQL"
        assert servers[1].product in ("Valkey", "Redis")
        assert all(server.version[0].isdigit() and server.origin in ("system", "wheel") for server in servers)
        assert all(server.child is None for server in servers)
    assert said == []
