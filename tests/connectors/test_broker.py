from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from connectors.broker import SOCKET_TIMEOUT_S, TASK, celery_app, publish, register
from connectors.embedded.process import ProcessGroup
from connectors.embedded.valkey import EmbeddedValkey
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery


@pytest.fixture
def memory() -> Celery:
    return celery_app("memory://")


def test_an_id_is_all_that_is_carried(memory: Celery) -> None:
    publish(memory, "execute", 7)
    with memory.connection_for_read() as connection:
        queue = connection.SimpleQueue("execute")
        message = queue.get_nowait()
        message.ack()
        queue.close()
    assert message.payload[:2] == [[7], {}]
    assert message.headers["task"] == TASK
    assert message.content_type == "application/json"


def test_loss_is_repaired_from_the_store_so_late_acknowledgement_is_off(memory: Celery) -> None:
    assert memory.conf.task_acks_late is False
    assert memory.conf.task_ignore_result is True
    assert memory.conf.accept_content == ["json"]
    assert memory.conf.worker_enable_remote_control is False
    assert memory.conf.broker_transport_options["socket_timeout"] == SOCKET_TIMEOUT_S


def test_the_task_runs_the_id_it_is_given(memory: Celery) -> None:
    ran: list[int] = []
    register(memory, ran.append)
    memory.tasks[TASK](11)
    assert ran == [11]


@pytest.mark.parametrize("forged", ["1; DROP TABLE x", None, True, 1.5, [1], {"id": 1}])
def test_a_forged_message_runs_nothing(memory: Celery, forged: Any) -> None:
    ran: list[int] = []
    register(memory, ran.append)
    memory.tasks[TASK](forged)
    assert ran == []


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://:wrong@127.0.0.1:1/0"])
def test_a_broker_that_refuses_is_unreachable_and_its_password_stays_unsaid(url: str) -> None:
    with pytest.raises(Unreachable) as caught:
        publish(celery_app(url), "agent", 1)
    assert caught.value.system == "broker"
    assert "wrong" not in str(caught.value)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    place = tmp_path_factory.mktemp("broker")
    with ProcessGroup(place / "run", lambda _: None) as group:
        server = EmbeddedValkey(group, "test-broker", log_path=place / "log", progress=lambda _: None)
        server.start()
        yield server
        server.stop()


@pytest.mark.integration
def test_a_worker_takes_a_published_id(valkey: EmbeddedValkey) -> None:
    app = celery_app(valkey.url)
    got: list[int] = []
    arrived = threading.Event()

    def run(step_id: int) -> None:
        got.append(step_id)
        arrived.set()

    register(app, run)
    publish(app, "agent", 42)
    with app.connection_for_read() as connection, connection.SimpleQueue("agent") as queue:
        message = queue.get(timeout=20)
        message.ack()
    app.tasks[message.headers["task"]](*message.payload[0])
    assert got == [42]
