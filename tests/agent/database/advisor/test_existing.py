from __future__ import annotations

from dataclasses import replace

import pytest

from agent.database.advisor.catalog import IndexKey, IndexProfile
from agent.database.advisor.definition import Definition, Key, column_key
from agent.database.advisor.existing import canonical, redundant, serving, unusable
from tests.agent.database.advisor.shop import ORDERS, index

PAIR = Definition("public", "orders", (column_key("customer_id"), column_key("created_at")))


def there(*keys: IndexKey, **changes: object) -> IndexProfile:
    return replace(index("there"), keys=keys, **changes)  # type: ignore[arg-type]  # the fields of IndexProfile


CUSTOMER, CREATED = IndexKey("customer_id", "customer_id"), IndexKey("created_at", "created_at")
BACKWARDS = IndexKey("created_at", "created_at", descending=True, nulls_first=True)


@pytest.mark.parametrize(
    ("profile", "serves"),
    [
        (there(CUSTOMER, CREATED), True),
        (there(CUSTOMER, CREATED, IndexKey("id", "id")), True),
        (there(replace(CUSTOMER, descending=True, nulls_first=True), BACKWARDS), True),
        (there(CUSTOMER, BACKWARDS), False),
        (there(CUSTOMER), False),
        (there(CREATED, CUSTOMER), False),
        (there(CUSTOMER, replace(CREATED, opclass="other_ops")), False),
        (there(CUSTOMER, CREATED, predicate="(status = 'open'::text)"), False),
        (there(CUSTOMER, CREATED, method="hash"), False),
        (there(CUSTOMER, CREATED, usable=False), False),
    ],
)
def test_an_index_serves_when_it_begins_alike(profile: IndexProfile, serves: bool) -> None:
    assert (serving(PAIR, replace(ORDERS, indexes=(profile,))) is not None) == serves


def test_an_invalid_one_is_found_as_such() -> None:
    broken = replace(ORDERS, indexes=(there(CUSTOMER, CREATED, usable=False),))
    assert unusable(PAIR, broken) is not None
    assert unusable(PAIR, ORDERS) is None


def test_an_expression_is_known_as_the_catalog_writes_it() -> None:
    catalog = replace(ORDERS, indexes=(there(IndexKey("lower((email)::text)", None)),))
    assert serving(Definition("public", "orders", (Key("lower(email)", None),)), catalog)
    assert canonical("(data ->> 'k'::text)", ORDERS) == "(data ->> 'k')"
    assert canonical("((status = 'open'::text))", ORDERS) == "status = 'open'"
    assert canonical("what ( is this", ORDERS) == "what ( is this"


def test_a_partial_index_serves_the_same_predicate_only() -> None:
    part = Definition("public", "orders", (column_key("created_at"),), where="status = 'open'")
    for predicate, serves in (("(status = 'open'::text)", True), ("(status = 'done'::text)", False), ("", True)):
        catalog = replace(ORDERS, indexes=(there(CREATED, predicate=predicate),))
        assert (serving(part, catalog) is not None) == serves


def test_only_plain_beginnings_are_redundant() -> None:
    profiles = (
        replace(there(CUSTOMER), name="narrow"),
        replace(there(CUSTOMER, unique=True), name="unique"),
        replace(there(CUSTOMER, predicate="(status = 'open'::text)"), name="partial"),
        replace(there(CUSTOMER, CREATED, IndexKey("id", "id")), name="wider"),
    )
    assert redundant(PAIR, replace(ORDERS, indexes=profiles)) == ("narrow",)
