"""Tables of the shop's owner for one scenario, and an application that works on them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg

from lab.provoke.scenario import again_and_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.provoke.server import TroubledServer


@contextlib.contextmanager
def table(server: TroubledServer, name: str, *statements: str) -> Iterator[None]:
    """Runs the statements, which make the table, as its owner; drops it in the end with all that hangs on it."""
    try:
        for statement in (*statements, f"GRANT SELECT ON public.{name} TO stanch_diagnose"):
            # Each in a session of its own: what one counted would reach the statistics after its own ANALYZE.
            with psycopg.connect(server.deploy, autocommit=True, options="-c role=shop_owner") as owner:
                owner.execute(statement.encode())
        yield
    finally:
        with server.superuser() as admin:
            admin.execute(f"DROP TABLE IF EXISTS public.{name} CASCADE".encode())


@contextlib.contextmanager
def at_work(
    server: TroubledServer,
    work: Callable[[psycopg.Connection], object],
    application: str = "shop",
    *,
    once: bool = False,
) -> Iterator[None]:
    """An application that does its work again and again; with once, in a new session each time.

    What a session counted reaches the statistics when it ends, or within a second.
    """
    with contextlib.ExitStack() as stack:
        if once:

            def one() -> None:
                with server.session(application, autocommit=True) as own:
                    work(own)

            stack.enter_context(again_and_again(one))
        else:
            session = stack.enter_context(server.session(application, autocommit=True))
            stack.enter_context(again_and_again(lambda: work(session)))
        yield
