"""A small shop whose columns may be NULL or not, and queries over it that a rewrite would cure."""

from __future__ import annotations

from pathlib import Path

from agent.database.rewriting.scope import ColumnShape, RelationShape

TABLES = """
CREATE SCHEMA rewriting;
CREATE TABLE rewriting.customers (id int PRIMARY KEY, name text, region int, vip boolean);
CREATE TABLE rewriting.orders (
  id int PRIMARY KEY, customer_id bigint, status varchar(10), total numeric, ref int NOT NULL, weight float8);
CREATE TABLE rewriting.items (order_id int, sku text, qty int);
"""
CUSTOMERS = RelationShape(
    "rewriting",
    "customers",
    (
        ColumnShape("id", True, "int"),
        ColumnShape("name", False, "text"),
        ColumnShape("region", False, "int"),
        ColumnShape("vip", False, "bool"),
    ),
    (("id",),),
)
ORDERS = RelationShape(
    "rewriting",
    "orders",
    (
        ColumnShape("id", True, "int"),
        ColumnShape("customer_id", False, "int"),
        ColumnShape("status", False, "text"),
        ColumnShape("total", False, "numeric"),
        ColumnShape("ref", True, "int"),
        ColumnShape("weight", False, ""),
    ),
    (("id",),),
)
ITEMS = RelationShape(
    "rewriting",
    "items",
    (ColumnShape("order_id", False, "int"), ColumnShape("sku", False, "text"), ColumnShape("qty", False, "int")),
    (),
)
RELATIONS = (CUSTOMERS, ORDERS, ITEMS)

_HERE = Path(__file__).parent


def _lines(name: str) -> tuple[str, ...]:
    return tuple((_HERE / name).read_text(encoding="utf-8").splitlines())


def _by_rule(lines: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    rule = ""
    for line in lines:
        if line.startswith("-- rule: "):
            rule = line.removeprefix("-- rule: ")
        elif line and not line.startswith("--"):
            found.setdefault(rule, []).append(line)
    return {rule: tuple(queries) for rule, queries in found.items()}


EQUAL = _by_rule(_lines("equal.sql"))
"""Queries by the rule that has to cure them."""
NOT_SURE = (
    *(line for line in _lines("not_sure.sql") if line and not line.startswith("--")),
    "",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
)
"""Queries that no rule may touch."""
