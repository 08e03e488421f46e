"""One statement that runs two queries over the same few rows of each table and says how their answers differ.

Each table becomes a materialised sample, so the cost is bounded whatever the tables' size. What a rewrite relies on (a
column is never NULL, a key is unique) holds for a part of the rows too, so equal queries stay equal on it.
"""

from __future__ import annotations

from sqlglot import exp

from agent.database.missing_index import folded
from agent.database.rewriting.scope import NotSure, parse_query
from guardrails.sql.identifier import qualified

SAMPLE_ROWS = 1000
"""Of each table. A subquery that runs once a row then reads a million rows: a fraction of a second."""


def comparison(original: str, rewritten: str, rows: int = SAMPLE_ROWS) -> str:
    """SQL whose one row is (rows, missing, added): rows of the original's answer, of it missing, and too many.

    Duplicates count. Both texts name their tables with schemas.

    Raises:
        NotSure: the queries have parameters or names without a schema, so they cannot be run as they are.
    """
    trees = [parse_query(text) for text in (original, rewritten)]
    if any(tree.find(exp.Parameter) for tree in trees):
        raise NotSure("it has parameters whose values are not known")
    samples: dict[tuple[str, str], str] = {}
    for tree in trees:
        for table in list(tree.find_all(exp.Table)):
            _sample(table, samples)
    first, second = (tree.sql(dialect="postgres", comments=False) for tree in trees)
    taken = [
        f"{name} AS MATERIALIZED (SELECT * FROM {qualified(schema, table)} LIMIT {rows})"  # noqa: S608 names are quoted
        for (schema, table), name in samples.items()
    ]
    return (
        f"WITH {', '.join(taken)}, stanch_before AS MATERIALIZED ({first}),"  # noqa: S608 both have passed the guard
        f" stanch_after AS MATERIALIZED ({second})"
        " SELECT (SELECT count(*) FROM stanch_before) AS rows,"
        " (SELECT count(*) FROM (SELECT * FROM stanch_before EXCEPT ALL SELECT * FROM stanch_after) AS a) AS missing,"
        " (SELECT count(*) FROM (SELECT * FROM stanch_after EXCEPT ALL SELECT * FROM stanch_before) AS b) AS added"
    )


def _sample(table: exp.Table, samples: dict[tuple[str, str], str]) -> None:
    schema, name = folded(table.args.get("db")), folded(table.this)
    if not schema or not name:
        raise NotSure("a table without its schema")
    sample = samples.setdefault((schema, name), f"stanch_sample_{len(samples) + 1}")
    if table.args.get("alias") is None:
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    table.set("db", None)
    table.set("this", exp.to_identifier(sample))
