"""Celery over Redis or Valkey. It carries step ids and wakes workers up; losing it makes Stanch slower, never wrong.

Settings and their reasons: early ack (late ack only adds duplicates, and loss is repaired from the store), JSON only,
no result backend, no remote control, no countdown, short socket time-outs with no retry of the publish (the relay
tries again by itself; Celery's own retry blocks for minutes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = "stanch.step"
SOCKET_TIMEOUT_S = 2


def celery_app(broker_url: str) -> Celery:
    app = Celery("stanch", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        task_default_queue="agent",
        task_create_missing_queues=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "max_retries": 0,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


def publish(app: Celery, queue: str, step_id: int) -> None:
    """Raises Unreachable within a few seconds when the broker does not take it."""
    try:
        app.send_task(TASK, args=(step_id,), queue=queue, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        raise Unreachable("broker", type(error).__name__) from error


def register(app: Celery, run: Callable[[int], object]) -> None:
    """The one task: an id in, nothing out. A forged message can at most cause a look into the store."""

    def step(step_id: Any) -> None:
        if isinstance(step_id, int) and not isinstance(step_id, bool):
            run(step_id)

    app.task(name=TASK, shared=False)(step)
