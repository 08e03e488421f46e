from __future__ import annotations

import json

from causal.attribution import NotAttributed
from causal.rank import rank
from causal.report import as_data, as_text
from tests.causal.worlds import shop


def test_data_is_plain_json() -> None:
    world = shop()
    world.columns["db|gone"] = world.times * float("nan")
    ranking = rank(world.frame, inject_time=world.change, target=world.target, graph=world.graph)
    data = as_data(ranking, NotAttributed("too few samples"))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["services"][0]["service"] == "db"
    assert data["attribution"] == {"reason": "too few samples"}


def test_text_names_the_cause_the_path_and_what_was_ruled_out() -> None:
    world = shop()
    text = as_text(rank(world.frame, inject_time=world.change, target=world.target, graph=world.graph))
    assert text.startswith("cause: db")
    assert "web → api → db" in text
    assert "ruled out: api" in text


def test_text_says_when_nothing_stands_out() -> None:
    world = shop(fault=0.0)
    assert as_text(rank(world.frame, inject_time=world.change)).startswith("no cause stands out")
