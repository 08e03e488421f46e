"""Writes to the bench's table at a steady rate until its input is closed, then says when each transaction committed.

A process of its own, so that what measures does not slow down what is measured. Open loop: a transaction's latency
counts from the moment it was due, so that a stall shows as what it is to whoever waits.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import time

import orjson
import psycopg

THREADS = 8
TRANSACTION = """
WITH changed AS (UPDATE public.ev SET amount = amount + 1 WHERE id = %s)
INSERT INTO public.ev (id, customer_id, created_at, amount, note)
VALUES (nextval('public.ev_id'), %s, clock_timestamp(), 1, repeat('n', 60))
"""


def write(
    dsn: str, number: int, per_s: float, rows: int, stop: threading.Event, done: list[tuple[float, float]]
) -> None:
    """Adds (committed at, milliseconds since it was due) to done, by the machine's monotonic clock."""
    chance = random.Random(number)
    every_s = THREADS / per_s
    due = time.monotonic() + every_s * number / THREADS
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as connection:
        while not stop.is_set():
            pause_s = due - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            connection.execute(TRANSACTION, (chance.randrange(1, rows), chance.randrange(50_000)), prepare=True)
            now = time.monotonic()
            done.append((now, 1000.0 * (now - due)))
            due += every_s


def main() -> None:
    dsn, per_s, rows = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    done: list[list[tuple[float, float]]] = [[] for _ in range(THREADS)]
    threads = [
        threading.Thread(target=write, args=(dsn, number, per_s, rows, stop, done[number])) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    sys.stdout.buffer.write(orjson.dumps(sorted(one for part in done for one in part)))


if __name__ == "__main__":
    main()
