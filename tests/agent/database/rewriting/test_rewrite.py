from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pglast.parser import parse_sql_json

from agent.database.rewrite import NotSure, comparison, rewritten
from agent.database.rewriting.scope import ColumnShape, Query, RelationShape, parse_query, printed
from tests.agent.database.rewriting.examples import EQUAL, NOT_SURE, ORDERS, RELATIONS


@pytest.mark.parametrize(("rule", "query"), [(rule, query) for rule, queries in EQUAL.items() for query in queries])
def test_each_shape_is_cured_by_its_own_rule(rule: str, query: str) -> None:
    found = rewritten(query, RELATIONS)
    assert rule in {rewrite.rule for rewrite in found.rewrites}, found.refusals
    assert all(rewrite.kind == "equal" for rewrite in found.rewrites)


@pytest.mark.parametrize("query", NOT_SURE)
def test_where_the_answer_could_differ_nothing_is_rewritten(query: str) -> None:
    assert rewritten(query, RELATIONS).rewrites == ()


def test_a_rewritten_query_is_not_rewritten_by_the_same_rule_again() -> None:
    for rule, queries in EQUAL.items():
        for query in queries:
            text = next(r.sql for r in rewritten(query, RELATIONS).rewrites if r.rule == rule)
            assert rule not in {r.rule for r in rewritten(text, RELATIONS).rewrites}


def test_a_table_and_its_alias_in_the_subquery_are_kept_apart() -> None:
    query = "SELECT id FROM rewriting.orders WHERE ref NOT IN (SELECT ref FROM rewriting.orders WHERE status = 'a')"
    (found,) = rewritten(query, RELATIONS).rewrites
    assert "orders.ref = orders_1.ref" in found.sql


def test_a_nullable_column_keeps_what_null_means_in_not_in() -> None:
    never_null = "SELECT o.id FROM rewriting.orders o WHERE o.ref NOT IN (SELECT c.id FROM rewriting.customers c)"
    nullable = never_null.replace("c.id FROM", "c.region FROM")
    assert "IS NULL" not in rewritten(never_null, RELATIONS).rewrites[0].sql
    assert "c.region IS NULL" in rewritten(nullable, RELATIONS).rewrites[0].sql


def test_paging_by_offset_is_answered_with_the_query_for_the_next_page() -> None:
    query = "SELECT id, total FROM rewriting.orders WHERE status = $1 ORDER BY ref DESC, id DESC LIMIT $2 OFFSET $3"
    (hint,) = rewritten(query, RELATIONS).rewrites
    assert (hint.rule, hint.kind) == ("offset_paging", "hint")
    assert "(orders.ref, id) < ($4, $5)" in hint.sql.replace("orders.id", "id")
    assert "OFFSET" not in hint.sql


def test_parameters_and_missing_schemas_are_not_compared() -> None:
    text = "SELECT id FROM rewriting.orders WHERE ref = $1"
    with pytest.raises(NotSure, match="parameters"):
        comparison(text, text)
    with pytest.raises(NotSure, match="schema"):
        comparison("SELECT id FROM orders", "SELECT id FROM orders")


@pytest.mark.parametrize("expression", (Path(__file__).parent / "expressions.sql").read_text().splitlines())
def test_what_is_printed_again_is_to_postgresql_what_it_was(expression: str) -> None:
    """By PostgreSQL's own parser: the same tree, so precedence, types and constants are as they were."""
    columns = tuple(ColumnShape(name, not_null=False, family="int") for name in "abcde")
    shapes = [RelationShape("public", name, columns, ()) for name in ("t", "u")]
    text = "SELECT t.a FROM public.t WHERE " + expression  # noqa: S608 it is only parsed
    assert printed(Query(text, shapes).tree)  # it is not refused
    assert tree_of(parse_query(text).sql(dialect="postgres")) == tree_of(text)


def tree_of(text: str) -> Any:
    return without_places(json.loads(parse_sql_json(text)))


def without_places(node: Any) -> Any:
    match node:
        case dict():
            return {
                name: without_places(value)
                for name, value in node.items()
                if "location" not in name and "list_" not in name and name != "stmt_len"
            }
        case list():
            return [without_places(one) for one in node]
    return node


@pytest.mark.parametrize("hidden", ["\n", "\x1b[31m", "\u202e", "\u200b"])
def test_what_would_not_show_as_it_is_is_not_rewritten(hidden: str) -> None:
    query = "SELECT id FROM rewriting.orders WHERE status = 'x' AND ref NOT IN (SELECT id FROM rewriting.customers)"
    assert rewritten(query, RELATIONS).rewrites
    assert not rewritten(query.replace("'x'", f"'{hidden}'"), RELATIONS).rewrites


def test_strange_names_stay_what_they_are() -> None:
    shape = ORDERS.from_data({**ORDERS.as_data(), "table": 'Bestellung "Ü"'})
    query = (
        'SELECT "Bestellung ""Ü""".id FROM rewriting."Bestellung ""Ü""" WHERE ref NOT IN'
        ' (SELECT ref FROM rewriting."Bestellung ""Ü""")'
    )
    (found,) = rewritten(query, (shape,)).rewrites
    assert found.sql.count('rewriting."Bestellung ""Ü"""') == 2
