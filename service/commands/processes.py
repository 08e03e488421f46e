"""serve, worker, executor: the three kinds of process."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import click
import structlog

from service.settings import Settings, load


def _started() -> Settings:
    settings = load()
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    words = "%(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format=words)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return settings


@click.command(epilog="\b\nExample:\n  STANCH_STORE_DSN=… STANCH_SIGNING_KEY_FILE=… stanch serve")
def serve() -> None:
    """The API: webhooks, decisions, pages, the outbox relay, the audit sealer."""
    from service.app import serve as run

    sys.exit(run(_started()))


@click.command(epilog="\b\nExamples:\n  stanch worker --queue agent\n  stanch worker --queue causal")
@click.option(
    "--queue",
    type=click.Choice(["agent", "causal", "both"]),
    default="both",
    show_default=True,
    help="causal loads dowhy: give it a process of its own where memory matters.",
)
def worker(queue: Literal["agent", "causal", "both"]) -> None:
    """A Celery worker that investigates. Refuses to start where it could read the signing key."""
    from service.tasks import work

    sys.exit(work(_started(), queue))


@click.command(epilog="\b\nExample:\n  STANCH_VERIFY_KEYS=… stanch executor")
def executor() -> None:
    """The only process that changes a target, and only what was approved. Refuses to start where it could sign."""
    from service.tasks import execute

    sys.exit(execute(_started()))
