from __future__ import annotations

import pytest

from guardrails.action import CreateIndexConcurrently, UnknownAction, action_from_params, action_to_params, render

ORDERS = CreateIndexConcurrently("public", "orders", ("customer_id", "created_at"))


def test_the_command_names_everything_and_is_never_conditional() -> None:
    rendered = render(ORDERS, "P-1")
    assert rendered.object_name is not None
    assert rendered.object_name.startswith("st_")
    assert rendered.object_name.endswith("_orders")
    assert rendered.command == (
        f"CREATE INDEX CONCURRENTLY {rendered.object_name} ON public.orders (customer_id, created_at)"
    )
    assert rendered.cleanup == f"DROP INDEX CONCURRENTLY IF EXISTS public.{rendered.object_name}"
    assert rendered.rollback == f"DROP INDEX CONCURRENTLY public.{rendered.object_name}"
    assert rendered.relations == (("public", "orders"),)


def test_the_name_follows_from_the_proposal_and_the_parameters_alone() -> None:
    assert render(ORDERS, "P-1") == render(ORDERS, "P-1")
    assert render(ORDERS, "P-1").object_name != render(ORDERS, "P-2").object_name
    other = CreateIndexConcurrently("public", "orders", ("created_at", "customer_id"))
    assert render(ORDERS, "P-1").object_name != render(other, "P-1").object_name


def test_names_are_quoted_where_postgresql_would_read_them_otherwise() -> None:
    action = CreateIndexConcurrently("Sales", 'odd"table; DROP TABLE x', ("order", "Größe", "plain"))
    rendered = render(action, "P-1")
    assert 'ON "Sales"."odd""table; DROP TABLE x" ("order", "Größe", plain)' in rendered.command


def test_a_long_table_name_is_cut_at_a_whole_character() -> None:
    rendered = render(CreateIndexConcurrently("public", "ö" * 31, ("a",)), "P-1")
    assert rendered.object_name is not None
    assert len(rendered.object_name.encode()) <= 63
    assert rendered.object_name.encode().decode() == rendered.object_name


def test_an_action_survives_the_way_through_its_parameters() -> None:
    assert action_from_params(ORDERS.kind, action_to_params(ORDERS)) == ORDERS


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("drop_database", {}),
        ("create_index_concurrently", {}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": []}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": "abc"}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": ["a", 1]}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": ["a", "a"]}),
        ("create_index_concurrently", {"schema": "s", "table": 7, "columns": ["a"]}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": ["a"], "where": "true"}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": ["a"], "method": "rum; DROP"}),
        ("create_index_concurrently", {"schema": "s", "table": "t", "columns": ["a", "b"], "method": "hash"}),
        ("create_index_concurrently", {"schema": "", "table": "t", "columns": ["a"]}),
        ("create_index_concurrently", {"schema": "s", "table": "t\0", "columns": ["a"]}),
        ("create_index_concurrently", {"schema": "s", "table": "t\u202e", "columns": ["a"]}),
        ("create_index_concurrently", {"schema": "s", "table": "t\ud800", "columns": ["a"]}),
        ("create_index_concurrently", {"schema": "s", "table": "t" * 64, "columns": ["a"]}),
    ],
)
def test_what_is_outside_the_closed_set_is_refused(kind: str, params: dict[str, object]) -> None:
    with pytest.raises(UnknownAction):
        action_from_params(kind, params)  # type: ignore[arg-type]  # hostile on purpose
