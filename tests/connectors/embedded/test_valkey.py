from __future__ import annotations

from pathlib import Path

import pytest
import redis

from connectors.embedded.process import ProcessGroup, ServerFailed
from connectors.embedded.valkey import EmbeddedValkey, find_server

pytestmark = pytest.mark.integration


def quiet(_: str) -> None:
    return


def test_the_broker_takes_its_password_only_and_shows_it_to_nobody(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        broker = EmbeddedValkey(group, "broker", log_path=tmp_path / "broker.log", progress=quiet)
        broker.start()
        with redis.Redis.from_url(broker.url) as client:
            assert client.ping() is True
            assert client.config_get("save") == {"save": ""}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.info("server")["tcp_port"] == broker.port
        with redis.Redis(port=broker.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert broker.child is not None
        assert broker.password not in (Path("/proc") / str(broker.child.pid) / "cmdline").read_text()
        assert broker.password not in broker.log_path.read_text()
        broker.stop()
        assert not broker.answers()


def test_it_forgets_everything_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        broker = EmbeddedValkey(group, "broker", log_path=tmp_path / "broker.log", progress=quiet)
        broker.start()
        with redis.Redis.from_url(broker.url) as client:
            client.set("a", "1")
        broker.stop()
        broker.start()
        with redis.Redis.from_url(broker.url) as client:
            assert client.get("a") is None


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        first = EmbeddedValkey(group, "first", log_path=tmp_path / "first.log", progress=quiet)
        first.start()
        second = EmbeddedValkey(group, "second", log_path=tmp_path / "second.log", progress=quiet, port=first.port)
        with pytest.raises(ServerFailed, match=f"second cannot start: port {first.port} on 127.0.0.1 is taken"):
            second.start()


def test_a_program_that_cannot_run_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\nexit 127\n")
    program.chmod(0o755)
    with ProcessGroup(tmp_path / "run", quiet) as group, pytest.raises(ServerFailed, match="cannot be run"):
        EmbeddedValkey(group, "broker", log_path=tmp_path / "log", progress=quiet, program=(program, "system"))


def test_a_server_is_found_here() -> None:
    program, origin = find_server()
    assert program.is_file()
    assert origin in ("system", "wheel")
