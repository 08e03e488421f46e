"""How the rows are cut into batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.shop.seed import APP_ROLE, batches, customers_for, seed

if TYPE_CHECKING:
    from tests.lab.conftest import Target


def _silent(_phase: str, _share: float) -> None:
    pass


@given(rows=st.integers(1, 5_000_000), count=st.integers(1, 50))
def test_batches_cover_every_id_once(rows: int, count: int) -> None:
    made = batches(rows, count)

    assert made[0][0] == 1
    assert made[-1][1] == rows
    assert all(later == earlier + 1 for (_, earlier), (later, _) in pairwise(made))
    assert all(first <= last for first, last in made)


def test_the_demo_has_two_hundred_thousand_customers() -> None:
    assert customers_for(2_400_000) == 200_000
    assert customers_for(1) == 1


def test_an_empty_shop_is_refused_before_anything_is_connected() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        seed("host=nowhere.invalid", 0, _silent)


@pytest.mark.integration
def test_a_whole_shop_is_left_alone(target: Target) -> None:
    again = seed(target.postgres.dsn(), 500, _silent)

    assert not again.filled
    assert again.rows >= target.rows


@pytest.mark.integration
def test_a_fill_that_was_interrupted_is_made_anew_and_says_how_far_it_is(target: Target) -> None:
    with psycopg.connect(target.admin_dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey")
    shares: list[float] = []

    again = seed(target.postgres.dsn(), target.rows, lambda _phase, share: shares.append(share))

    assert again.filled
    assert again.rows == target.rows
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.integration
def test_the_application_may_change_rows_and_nothing_else(target: Target) -> None:
    with psycopg.connect(target.dsn(APP_ROLE), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (target.customers,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP INDEX orders_customer_idx")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (id bigint)")
