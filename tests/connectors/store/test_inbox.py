from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connectors.store.inbox import MOST_BYTES_TOGETHER, MOST_TOGETHER, Delivery, Full, Inbox, Receipt
from connectors.unreachable import Unreachable
from tests.connectors.store.database import API

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def inbox(database: Database) -> Iterator[Inbox]:
    made = Inbox(database.dsn(API), application_name="test")
    yield made
    made.close()


async def _all(inbox: Inbox, deliveries: Sequence[Delivery]) -> list[Receipt | BaseException]:
    return await asyncio.gather(*(inbox.take(one) for one in deliveries), return_exceptions=True)


def take(inbox: Inbox, *deliveries: Delivery) -> list[Receipt | BaseException]:
    return asyncio.run(_all(inbox, deliveries))


def receipts(found: Sequence[Receipt | BaseException]) -> list[UUID]:
    assert all(isinstance(one, Receipt) for one in found), found
    return [one.id for one in found if isinstance(one, Receipt)]


def stored(database: Database, found: Sequence[UUID]) -> list[bytes]:
    rows = dict(database.run("SELECT receipt, body FROM stanch.inbox WHERE receipt = ANY(%s)", (list(found),)))
    return [bytes(rows[one]) for one in found]


def steps_for(database: Database, found: Sequence[UUID]) -> int:
    """Bodies that an intake step names."""
    ((named,),) = database.run(
        "SELECT count(DISTINCT i.id) FROM stanch.inbox i JOIN stanch.step s ON s.kind = 'intake' AND "
        "((s.args ->> 'inbox')::bigint = i.id OR s.args -> 'inboxes' @> to_jsonb(i.id)) WHERE i.receipt = ANY(%s)",
        (list(found),),
    )
    return int(named)


def test_many_at_once_are_each_there_with_their_own_bytes(inbox: Inbox, database: Database) -> None:
    bodies = [b"\x00\xff%d" % number for number in range(3 * MOST_TOGETHER)]
    found = receipts(take(inbox, *(Delivery("alertmanager", {"user-agent": "x"}, body) for body in bodies)))
    assert stored(database, found) == bodies
    assert steps_for(database, found) == len(bodies)
    ((commits,),) = database.run(
        "SELECT count(DISTINCT xmin::text) FROM stanch.inbox WHERE receipt = ANY(%s)", (found,)
    )
    assert commits < len(bodies)


def test_what_shares_a_commit_is_bounded(inbox: Inbox, database: Database) -> None:
    body = b"x" * MOST_BYTES_TOGETHER
    found = receipts(take(inbox, *(Delivery("grafana", {}, body) for _ in range(4))))
    ((commits,),) = database.run(
        "SELECT count(DISTINCT xmin::text) FROM stanch.inbox WHERE receipt = ANY(%s)", (found,)
    )
    assert commits == 4


def test_the_same_event_is_there_once_however_often_it_comes(inbox: Inbox, database: Database) -> None:
    same = [Delivery("pagerduty", {}, b"%d" % n, "event-1", f"delivery-{n}") for n in range(20)]
    first = take(inbox, *same)
    assert len(set(receipts(first))) == 1
    assert sorted(one.again for one in first if isinstance(one, Receipt)) == [False] + [True] * 19
    (later,) = take(inbox, same[3])
    assert later == Receipt(receipts(first)[0], again=True)
    assert steps_for(database, receipts(first)) == 1


def test_the_same_delivery_is_one_too_and_sources_are_apart(inbox: Inbox) -> None:
    one, again, other = take(
        inbox,
        Delivery("pagerduty", {}, b"1", "event-2", "delivery-x"),
        Delivery("pagerduty", {}, b"2", "event-3", "delivery-x"),
        Delivery("pagerduty-eu", {}, b"3", "event-2", "delivery-x"),
    )
    assert isinstance(one, Receipt)
    assert again == Receipt(one.id, again=True)
    assert other != one


def test_a_row_that_the_store_refuses_takes_no_other_with_it(inbox: Inbox, database: Database) -> None:
    found = take(
        inbox, Delivery("alertmanager", {}, b"good"), Delivery("a\x00b", {}, b"bad"), Delivery("grafana", {}, b"too")
    )
    assert isinstance(found[1], Unreachable)
    assert stored(database, receipts([found[0], found[2]])) == [b"good", b"too"]


def test_a_store_that_was_away_is_found_again(fresh_database: Database) -> None:
    inbox = Inbox(fresh_database.dsn(API), application_name="test")
    try:
        receipts(take(inbox, Delivery("alertmanager", {}, b"1")))
        with fresh_database.away():
            (refused,) = take(inbox, Delivery("alertmanager", {}, b"2"))
            assert isinstance(refused, Unreachable)
        # The connection it had is dead; nobody is told, it is made anew.
        found = receipts(take(inbox, Delivery("alertmanager", {}, b"3")))
        fresh_database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%inbox'"
        )
        found += receipts(take(inbox, Delivery("alertmanager", {}, b"4")))
        assert stored(fresh_database, found) == [b"3", b"4"]
    finally:
        inbox.close()


def test_a_full_waiting_room_keeps_a_place_for_the_others() -> None:
    inbox = Inbox("postgresql://nobody@127.0.0.1:1/nothing", application_name="test", most_waiting=10)

    async def storm() -> list[Receipt | BaseException]:
        tasks = [asyncio.ensure_future(inbox.take(Delivery("storm", {}, b"x"))) for _ in range(20)]
        tasks += [asyncio.ensure_future(inbox.take(Delivery("quiet", {}, b"x")))]
        return await asyncio.gather(*tasks, return_exceptions=True)

    *storming, quiet = asyncio.run(storm())
    inbox.close()
    assert sum(isinstance(one, Full) for one in storming) >= 1
    assert not isinstance(quiet, Full)
    assert all(isinstance(one, (Full, Unreachable)) for one in [*storming, quiet])


def test_a_closed_inbox_opens_again(inbox: Inbox, database: Database) -> None:
    inbox.close()
    assert stored(database, receipts(take(inbox, Delivery("alertmanager", {}, b"again")))) == [b"again"]
