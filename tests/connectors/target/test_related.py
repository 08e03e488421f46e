from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner

from connectors.embedded.postgres import EmbeddedPostgres
from connectors.embedded.process import ProcessGroup
from connectors.target.related import Catalog
from connectors.unreachable import Unreachable
from service.commands.sql import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = """
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int, p_id int REFERENCES p);
CREATE INDEX c_p ON c (p_id);
CREATE TABLE m (id int) PARTITION BY RANGE (id);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE VIEW v AS SELECT * FROM c;
"""


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("related")
    with ProcessGroup(place / "run", _silent) as group:
        postgres = EmbeddedPostgres(
            group, "related", place / "cluster", log_path=place / "log", progress=_silent, settings={"fsync": "off"}
        )
        postgres.start()
        with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
            admin.execute(SCHEMA)
        yield postgres.dsn()
        postgres.stop()
        postgres.remove()


def _silent(_line: str) -> None:
    return None


@pytest.mark.integration
def test_the_catalog_names_what_a_statement_reaches(dsn: str) -> None:
    with Catalog(dsn) as catalog:
        assert [one.relation for one in catalog.related(["c_p"])] == ["c", "p", "p_pkey"]
        assert [one.relation for one in catalog.related(["p"])] == ["c", "c_p", "p_pkey"]
        assert [one.relation for one in catalog.related(["p"]) if one.own] == ["p_pkey"]
        assert [one.relation for one in catalog.related(["m1"])] == ["m"]
        assert "c" in [one.relation for one in catalog.related(["v"])]
        assert catalog.related(["no_such", "no.such"]) == ()


@pytest.mark.integration
def test_with_a_dsn_the_star_becomes_names(dsn: str) -> None:
    request = json.dumps({"id": 1, "sql": "DROP INDEX c_p"})
    result = CliRunner().invoke(sql, ["check", "--dsn", dsn], input=request, catch_exceptions=False)
    locks = {lock["relation"]: lock["mode"] for lock in json.loads(result.stdout)["locks"]}
    assert "*" not in locks
    assert locks["c"] == locks["c_p"] == "AccessExclusiveLock"
    unknown = json.dumps({"id": 2, "sql": "DO $$ BEGIN END $$"})
    result = CliRunner().invoke(sql, ["check", "--dsn", dsn], input=unknown, catch_exceptions=False)
    assert json.loads(result.stdout)["locks"] == [{"relation": "*", "mode": "AccessExclusiveLock"}]


def test_a_database_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(Unreachable):
        Catalog("postgresql://nobody@127.0.0.1:1/none")
