from __future__ import annotations

from dataclasses import replace

import pytest

from agent.replay.case import HARMLESS, Case, Said
from agent.replay.play import Played, answer, play
from agent.replay.utility import CAP_S, HAND_OVER_S, utility
from agent.runbook.skill import Skill, read
from tests.agent.replay.cases import MADE, case

FRONT = "---\nname: {name}\ndescription: For tests.\nmetadata:\n  stanch.version: '1'\n---\n# Words\n"
STOP = "stop: {posterior: 0.8, margin: 0.3, min_checks: 2, max_checks: 8, min_disconfirming: 0}\n"
SLOW = """
match: {any: [{label: alertname, matches: '.*(Slow|Errors)'}]}
causes:
  missing_index: {title: Missing index, prior: 0.25, component: target}
  cpu_saturation: {title: No processor time, prior: 0.25, component: ranked}
  traffic_surge: {title: Surge, prior: 0.25, component: service}
  none_of_these: {title: None of these, prior: 0.25}
first: [ranking, surge]
checks:
  - {id: ranking, tool: causal, query: target_leads, cost_s: 0.5,
     supports: {missing_index: strong, cpu_saturation: against}}
  - {id: cpu, tool: metrics, query: cpu_saturated, cost_s: 0.2, supports: {cpu_saturation: strong}}
  - {id: surge, tool: metrics, query: traffic_surge, cost_s: 0.2, supports: {traffic_surge: strong}}
  - {id: sample, tool: database, query: workload_sample, cost_s: 3, gathers: true}
  - {id: scans, tool: database, query: sequential_scans_dominate, needs: [sample], cost_s: 0.1,
     supports: {missing_index: strong, traffic_surge: against, cpu_saturation: against}}
  - {id: index_would_help, tool: database, needs: [sample], cost_s: 0.3,
     supports: {missing_index: strong, traffic_surge: against, cpu_saturation: against, none_of_these: against}}
"""
FIX = """
remediations:
  - {id: build, cause: missing_index, action: create_index_concurrently, params_from: %s, rollback: never}
"""
GENERIC = """
causes: {downstream: {title: Below, prior: 0.5}, none_of_these: {title: None of these, prior: 0.5}}
first: [ranking]
checks: [{id: ranking, tool: causal, query: any_leads, cost_s: 0.5, supports: {downstream: weak}}]
"""


def _skills(*, params_from: str = "index_would_help") -> dict[str, Skill]:
    slow = {
        "SKILL.md": FRONT.format(name="slow"),
        "references/diagnosis.yaml": SLOW + STOP,
        "references/remediation.yaml": FIX % params_from,
    }
    generic = {"SKILL.md": FRONT.format(name="generic-triage"), "references/diagnosis.yaml": GENERIC + STOP}
    return {"slow": read("slow", slow), "generic-triage": read("generic-triage", generic)}


def _said(status: str, seconds: float = 0.1) -> Said:
    return Said(status, status, {}, seconds)  # type: ignore[arg-type]  # the test's own words


def _played(one: Case) -> Played:
    return play(one, _skills())


def test_a_right_fix_ends_when_the_signal_is_back() -> None:
    played = _played(case("missing_index"))

    assert (played.cause, played.component, played.action) == (
        "missing_index",
        "orders-db",
        "create_index_concurrently",
    )
    assert played.mechanism_right
    assert played.component_right
    assert played.mitigated
    assert played.diagnose_s is not None
    assert played.mitigate_s == pytest.approx(played.diagnose_s + (MADE["missing_index"].restore_s or 0))


def test_questions_side_by_side_cost_the_longest_of_them() -> None:
    slow_ranking = case(
        "missing_index",
        answers={"causal:target_leads": _said("yes", 5.0), "metrics:traffic_surge": _said("no", 1.0)},
    )

    trace = {asked.check: asked.at_s for asked in _played(slow_ranking).trace}

    assert (trace["ranking"], trace["surge"]) == (5.0, 1.0)
    assert trace["sample"] == pytest.approx(5.0 + 3.1)


def test_a_question_is_answered_as_of_the_time_it_is_asked() -> None:
    early, late = _said("no"), _said("yes")
    one = replace(case("missing_index"), answers={"database:lock_waits": (early, late)}, step_s=6.0)

    assert answer(one, "database:lock_waits", 5.9) is early
    assert answer(one, "database:lock_waits", 6.0) is late
    assert answer(one, "database:lock_waits", 900.0) is late


def test_what_was_not_recorded_is_not_visible() -> None:
    assert answer(case("missing_index"), "database:never_recorded", 0.0).status == "not_visible"


def test_the_right_kind_of_action_on_the_wrong_table_is_a_wrong_fix() -> None:
    one = case("missing_index")
    elsewhere = replace(one, truth=replace(one.truth, params={"table": "payments"}))

    played = _played(elsewhere)

    assert played.acted
    assert played.wrong_fix
    assert not played.harm
    assert played.mitigate_s == CAP_S


def test_a_fix_where_nothing_is_broken_is_harm_and_worth_nothing() -> None:
    looks_broken = {asked: said[0] for asked, said in case("missing_index").answers.items()}
    surge = case("traffic_surge", answers=looks_broken)

    played = _played(surge)

    assert played.acted
    assert played.harm
    assert played.wrong_fix
    assert played.utility == 0.0


def test_parameters_that_the_evidence_lacks_are_a_refusal_and_no_action() -> None:
    played = play(case("missing_index"), _skills(params_from="scans"))

    assert played.mechanism_right
    assert not played.acted
    assert "no action could be built" in played.refused[0]
    assert played.mitigate_s == CAP_S


def test_naming_the_cause_is_the_right_end_where_no_action_may_be_taken() -> None:
    played = _played(case("cpu_saturation"))

    assert (played.cause, played.component) == ("cpu_saturation", "catalog")
    assert not played.acted
    assert played.mitigated
    assert played.diagnose_s is not None
    assert played.mitigate_s == played.diagnose_s + HAND_OVER_S


def test_the_right_mechanism_in_the_wrong_place_mitigates_nothing() -> None:
    one = case("cpu_saturation")
    elsewhere = replace(one, truth=replace(one.truth, component="payments"))

    played = _played(elsewhere)

    assert played.mechanism_right
    assert not played.component_right
    assert not played.mitigated


def test_where_nothing_is_broken_it_is_broken_nowhere() -> None:
    one = case("traffic_surge")
    elsewhere = replace(one, truth=replace(one.truth, component="load"))

    played = _played(elsewhere)

    assert played.cause == "traffic_surge"
    assert played.component_right
    assert played.mitigated
    assert not played.acted


def test_no_cause_is_an_abstention() -> None:
    played = _played(case("old_xmin"))

    assert played.abstained
    assert played.cause is None
    assert played.diagnose_s is None
    assert played.mitigate_s == CAP_S


def test_without_a_target_nothing_is_done() -> None:
    played = _played(replace(case("missing_index"), target=None))

    assert not played.acted


def test_an_alert_that_no_skill_fits_goes_to_the_generic_one() -> None:
    played = _played(replace(case("missing_index"), labels={"alertname": "Unheard"}))

    assert played.skill == "generic-triage"


@pytest.mark.parametrize("mechanism", MADE)
def test_replaying_twice_gives_the_same(mechanism: str) -> None:
    assert _played(case(mechanism)) == _played(case(mechanism))


def test_utility_stays_within_its_bounds() -> None:
    worst = utility(mitigate_s=9e9, cause_right=False, wrong_fix=True, calibration=0.0, harm=True)
    best = utility(mitigate_s=0.0, cause_right=True, wrong_fix=False, calibration=1.0, harm=False)

    assert (worst, best) == (0.0, 1.0)


def test_the_harmless_have_no_action() -> None:
    assert all(MADE[mechanism].action is None for mechanism in HARMLESS)
