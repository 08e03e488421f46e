from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from agent.replay.case import HARMLESS, MECHANISMS, Case, Said
from lab.recordings.generate import (
    OPERATORS,
    Family,
    Generator,
    Operators,
    duplicates,
    families_of,
    injection_of,
    sides,
    trace_hash,
)
from lab.recordings.splits import SPLITS, side_of, split_of
from tests.agent.replay.cases import HandMade, case, recordings

RECORDINGS = recordings()
MORE = recordings(8)
QUIET = Operators(flip=0, correlated=0, blind=0, jitter=0, seconds_jitter=0, restore_jitter=0, anchor_swap=0)


def _everything(one: Case) -> tuple[object, ...]:
    return one.id, one.labels, one.service, one.target, dict(one.answers), one.truth, one.strata, one.describe()


def _generator(operators: Operators = OPERATORS) -> Generator:
    return Generator(RECORDINGS, families_of(RECORDINGS, "train"), operators=operators)


def test_the_same_seed_gives_the_same_case() -> None:
    assert _everything(_generator().case(17)) == _everything(_generator().case(17))


def test_the_order_of_asking_does_not_matter() -> None:
    one, other = _generator().case(3), _generator().case(3)
    forwards = {asked: one.answers[asked] for asked in list(one.answers)}
    backwards = {asked: other.answers[asked] for asked in reversed(list(other.answers))}

    assert forwards == backwards


@pytest.mark.parametrize("seed", [0, -5, 10**30])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert _generator().case(seed).truth.mechanism in MECHANISMS


def test_another_process_with_another_hash_seed_gives_the_same_case() -> None:
    code = (
        "from tests.agent.replay.cases import recordings as r;"
        "from lab.recordings.generate import *;"
        "g=Generator(r(),families_of(r(),'train'));"
        "print([trace_hash(g.case(s)) for s in range(5)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }

    assert said == {f"{[trace_hash(_generator().case(seed)) for seed in range(5)]}\n"}


def test_there_are_forty_families_and_each_mechanism_is_examined() -> None:
    families = families_of(RECORDINGS)
    by_split = {split: families_of(RECORDINGS, split) for split in SPLITS}

    assert len(families) >= 40
    assert sorted(name for names in by_split.values() for name in names) == list(families)
    assert {Family.parse(name).mechanism for name in by_split["test"]} == set(MECHANISMS)


def test_no_recording_feeds_both_what_is_learnt_from_and_what_is_examined_on() -> None:
    fed: dict[str, set[str]] = {"learn": set(), "exam": set()}
    for split in SPLITS:
        generator = Generator(RECORDINGS, families_of(RECORDINGS, split))
        for seed in range(200):
            differs = generator.case(seed).differs
            fed[side_of(split)] |= {differs["recording"], differs["alert_of"], differs["correlated_with"]} - {None}

    assert not fed["learn"] & fed["exam"]
    assert set(sides([one.case() for one in RECORDINGS]).values()) == {"learn", "exam"}


def test_splits_share_no_trace() -> None:
    cases = [Generator(RECORDINGS, families_of(RECORDINGS, split)).case(seed) for split in SPLITS for seed in range(60)]

    assert duplicates(cases) == ()


def test_a_trace_that_two_splits_share_is_named() -> None:
    names = [next(name for name in families_of(RECORDINGS) if split_of(name) == split) for split in ("train", "test")]
    one, other = (
        Case(
            id=f"case of {name}",
            family=name,
            labels={"alertname": "Same"},
            service="s",
            target=None,
            answers={},
            truth=case("missing_index").truth,
        )
        for name in names
    )

    assert duplicates([one, other]) == ((one.id, other.id),)


def _quiet_case(mechanism: str, template: str) -> Case:
    """One of a family of the mechanism with that ending, whichever alert it has."""
    names = [name for name in families_of(MORE) if name.startswith(f"{mechanism}/") and name.endswith(template)]
    return Generator(MORE, names, operators=QUIET).case(1)


def _recorded(made: Case) -> Case:
    return next(one.case() for one in MORE if one.case().id == made.differs["recording"])


def test_without_operators_a_case_is_its_recording_under_other_names() -> None:
    made = _quiet_case("missing_index", "/x1/travel")
    recorded = _recorded(made)

    assert made.labels["alertname"] in {"WebSlow", "BookingsSlow"}
    assert made.target == "bookings-db"
    assert made.truth.component == "bookings-db"
    assert made.answers["database:index_would_help"][0].data["table"] == "bookings"
    assert made.answers["database:index_would_help"][0].data["columns"] == ["guest_id", "placed_at"]
    assert {k: v[0].status for k, v in made.answers.items()} == {k: v[0].status for k, v in recorded.answers.items()}
    assert made.truth.restore_s == recorded.truth.restore_s


def test_a_larger_table_makes_counts_and_the_fix_grow_and_shares_stay() -> None:
    made = _quiet_case("missing_index", "/x3/shop")
    recorded = _recorded(made)

    assert made.truth.restore_s == 3 * (recorded.truth.restore_s or 0)
    cost = [one.answers["database:index_would_help"][0].data["cost_before"] for one in (recorded, made)]
    assert cost[1] == pytest.approx(3 * cost[0], rel=0.01)
    share = [one.answers["database:lock_waits"][0].data["share"] for one in (recorded, made)]
    assert share[0] == pytest.approx(share[1], abs=0.02)


def test_a_service_further_up_can_be_the_one_that_alerts() -> None:
    made = _quiet_case("cpu_saturation", "/stream")

    assert made.service == made.labels["service"] == "edge-gateway"
    assert made.truth.component == "library"
    assert [one["service"] for one in made.answers["causal:any_leads"][0].data["services"]] == [
        "library",
        "recommendations",
    ]


def test_a_blind_group_is_not_visible_and_says_so() -> None:
    generator = _generator(Operators(blind=1.0))
    made = generator.case(4)

    assert made.differs["blind"] is not None
    assert "blind" in made.strata
    assert {said[0].status for said in made.answers.values()} >= {"not_visible"}


def test_a_hidden_cause_turns_a_whole_group_at_once() -> None:
    generator = _generator(Operators(correlated=1.0, flip=0, drift_depth=0))

    assert all("correlated" in generator.case(seed).strata for seed in range(20))
    assert all(
        generator.case(seed).differs["correlated_with"] != generator.case(seed).differs["recording"]
        for seed in range(20)
    )


def test_single_answers_turn_as_often_as_declared() -> None:
    quiet, noisy = _generator(QUIET), _generator(Operators(flip=0.3, correlated=0, blind=0, anchor_swap=0))
    turned = [
        quiet.case(seed).answers[asked][0].status != said[0].status
        for seed in range(40)
        for asked, said in noisy.case(seed).answers.items()
        if said[0].status in {"yes", "no"}
    ]

    assert 0.15 < sum(turned) / len(turned) < 0.32


def test_the_alert_is_never_one_that_the_lab_has_not_seen_the_mechanism_raise() -> None:
    raised = {(one.case().truth.mechanism, one.case().labels["alertname"]) for one in RECORDINGS}
    generator = Generator(
        RECORDINGS, [name for name in families_of(RECORDINGS) if name.endswith("/shop")],
        operators=Operators(anchor_swap=1.0),
    )  # fmt: skip
    made = [generator.case(seed) for seed in range(200)]

    assert {(one.truth.mechanism, one.labels["alertname"]) for one in made} <= raised
    assert any(one.differs["recording"] != one.differs["alert_of"] for one in made)


def test_the_harmless_have_their_share() -> None:
    generator = _generator(Operators(benign=0.25))
    share = sum(generator.case(seed).truth.mechanism in HARMLESS for seed in range(400)) / 400

    assert 0.18 < share < 0.32


def test_what_comes_moves_with_the_seed() -> None:
    generator = _generator(Operators(drift_depth=0.9, drift_every=4000))
    early = Counter(generator.case(seed).family for seed in range(900, 1100))
    late = Counter(generator.case(seed).family for seed in range(2900, 3100))

    assert generator.drift(1000) == pytest.approx(1.0)
    assert generator.drift(3000) == pytest.approx(-1.0)
    assert early != late


def test_a_postmortem_is_wrong_as_often_as_declared() -> None:
    generator = _generator(Operators(label_noise=0.2))
    wrong = sum(
        generator.told(generator.case(seed), seed)[1] != generator.case(seed).truth.mechanism for seed in range(500)
    )

    assert 60 < wrong < 140


def test_parameters_of_an_action_are_names_and_stay() -> None:
    generator = _generator(Operators(jitter=1.0, flip=0, correlated=0, blind=0))
    family = next(name for name in generator.families if name.startswith("idle_in_transaction"))
    said = generator.case(2, family).answers["database:idle_in_transaction"][0]

    assert said.data["findings"][0]["action"]["params"]["pid"] == 4711


def test_a_family_that_no_recording_plays_is_refused() -> None:
    with pytest.raises(ValueError, match="no recording can play wrong/Alert/x1/shop"):
        Generator(RECORDINGS, ["wrong/Alert/x1/shop"])
    with pytest.raises(ValueError, match="names no family"):
        Generator(RECORDINGS, ["wrong"])
    with pytest.raises(ValueError, match="at least one family"):
        Generator(RECORDINGS, [])


def test_recordings_of_one_injection_are_on_one_side() -> None:
    ids = [f"missing-index-{number:03d}{alert}" for number in range(9) for alert in ("", "-ordersslow", "-catalogslow")]
    side = sides([replace(case("missing_index"), id=one) for one in ids])

    assert all(side[one] == side[injection_of(one)] for one in ids)
    assert sorted(Counter(side.values()).values()) == [12, 15]
    assert injection_of("missing-index-and-slow-dependency-002-orderslow") == "missing-index-and-slow-dependency-002"


def test_one_recording_of_a_kind_feeds_one_side_only() -> None:
    single = [HandMade(case("missing_index"))]
    splits = {side_of(split_of(name)) for name in families_of(single)}

    assert len(splits) == 1


def test_hostile_text_survives_renaming() -> None:
    hostile = Said("yes", "orders'; DROP TABLE orders;-- \x00 ünï", {"orders": ["orders", None, True]}, 0.1)
    made = Generator(
        [HandMade(case("missing_index", variant=v, answers={"database:lock_waits": hostile})) for v in range(2)],
        ["missing_index/StorefrontSlow/x1/travel"],
        operators=QUIET,
    ).case(0)

    said = made.answers["database:lock_waits"][0]
    assert said.summary == "bookings'; DROP TABLE bookings;-- \x00 ünï"
    assert said.data == {"bookings": ["bookings", None, True]}
