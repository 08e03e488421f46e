"""Plays a recorded incident against the agent: the same `decide` as live, a simulated clock, an instant approval.

Time passes only where something outside takes it: a question costs what it cost when it was recorded, questions under
way together cost the longest of them, a fix takes until the signal had recovered. Stanch's own work counts as nothing.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.events import (
    ApprovalGranted,
    ApprovalOpened,
    CheckAnswered,
    ExecutionEnded,
    ExecutionStarted,
    ProposalDrafted,
    ProposalRefused,
    Triaged,
    VerificationSampled,
)
from agent.incident import Answered, Incident, IncidentState, Mode, Working
from agent.machine import IllegalTransition, decide
from agent.replay.case import HARMLESS, Said, question
from agent.replay.utility import CAP_S, HAND_OVER_S, utility
from agent.runbook.match import pick
from agent.runbook.parameters import MissingEvidence, gathered
from agent.runbook.remedy import fitting
from agent.runbook.skill import NONE_OF_THESE, first_service
from guardrails.action import UnknownAction, action_from_params, action_to_params, parameters_of, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.brain.parameters import BrainParameters
    from agent.events import Event
    from agent.machine import Step
    from agent.replay.case import Case, Truth
    from agent.runbook.skill import Remediation, Skill
    from guardrails.action import Action

GENERIC = "generic-triage"
"""As service.steps.triage: the skill where no other fits."""

STILL_THERE_AFTER_S = 180.0
"""How long a fix that does not help is watched before a human is asked; the lab's verification deadline."""

_ALERT_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Any time would do: nothing that is decided depends on it."""

NOT_RECORDED = Said("not_visible", "this was not recorded", {}, 0.1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a replay. at_s: seconds after the alert when the answer came."""

    check: str
    at_s: float
    status: str
    summary: str


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one case, times in simulated seconds after the alert.

    skill: the one triage took. cause: id, None when nothing stood out; probability: belief in it, else in the leading
    one. component: service or target the cause lies in, None when nobody can say. action: kind that ran, None without
    one. wrong_fix: it ran and was not the repair. harm: it ran where nothing was broken. asked: check ids in order.
    diagnose_s: None without a conclusion. mitigate_s: CAP_S unless mitigated. refused: why no action could be built.
    """

    skill: str
    cause: str | None
    component: str | None
    component_right: bool
    mechanism_right: bool
    action: str | None
    acted: bool
    wrong_fix: bool
    harm: bool
    abstained: bool
    asked: tuple[str, ...]
    diagnose_s: float | None
    mitigate_s: float
    mitigated: bool
    utility: float
    probability: float
    refused: tuple[str, ...]
    trace: tuple[Asked, ...]
    why: str


def play(case: Case, skills: Mapping[str, Skill], *, parameters: BrainParameters | None = None) -> Played:
    """Drives the incident from triage to its end. skills must hold the generic one. parameters: in place of those that
    the skill brings, for what the brain looks up while it thinks (strengths are in the skill's checks); None: its own.
    """
    return _Replay(case, skills, parameters).run()


def triaged(case: Case, skills: Mapping[str, Skill]) -> Skill:
    """The skill as live triage picks it."""
    return pick(skills.values(), case.labels, has_target=case.target is not None) or skills[GENERIC]


@dataclass(slots=True)
class _Replay:
    case: Case
    skills: Mapping[str, Skill]
    parameters: BrainParameters | None
    skill: Skill = field(init=False)
    incident: Incident = field(init=False)
    now_s: float = 0.0
    waiting: list[tuple[float, int, Event]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    trace: list[Asked] = field(default_factory=list)
    action: Action | None = None
    started_s: float = 0.0
    diagnosed_s: float | None = None

    def run(self) -> Played:
        case = self.case
        skill = triaged(case, self.skills)
        self.skill = skill if self.parameters is None else replace(skill, parameters=self.parameters)
        self.incident = _incident(case)
        mode = Mode.ACT if case.target is not None else Mode.OBSERVE
        self._after(0.0, Triaged(self.skill.name, case.target, mode, case.service))
        while self.waiting:
            self.now_s, _, event = heapq.heappop(self.waiting)
            self._take(event)
        return _judged(self)

    def _after(self, seconds: float, event: Event) -> None:
        heapq.heappush(self.waiting, (self.now_s + seconds, next(self.numbers), event))

    def _take(self, event: Event) -> None:
        try:
            decision = decide(self.incident, self.skill, event, _at(self.now_s))
        except IllegalTransition:  # an answer that came after the end, dropped as live
            return
        self.incident = decision.incident
        if self.diagnosed_s is None and self.incident.working.conclusion is not None:
            self.diagnosed_s = self.now_s
        for step in decision.steps:
            self._do(step)

    def _do(self, step: Step) -> None:
        match step.kind:
            case "check":
                self._ask(step.args["check"])
            case "propose":
                self._propose(step.args["remediation"])
            case "open_approval":
                self._after(0.0, ApprovalOpened("replay"))
                self._after(0.0, ApprovalGranted(("replay",), "replay"))
            case "execute":
                self.started_s = self.now_s
                self._after(0.0, ExecutionStarted("run", _at(self.now_s)))
                self._after(0.0, ExecutionEnded("run", "finished", "the command ran", _at(self.now_s)))
            case "verify":
                self._verify()
            case _:  # attribute, postmortem: nothing waits for them
                pass

    def _ask(self, name: str) -> None:
        check = self.skill.checks[name]
        said = answer(self.case, question(check), self.now_s)
        self.known[name] = said.data
        at_s = self.now_s + said.seconds
        status = said.status if check.predicate is None else check.predicate.status(said.status, said.data)
        self.trace.append(Asked(name, at_s, status, said.summary))
        self._after(said.seconds, CheckAnswered(name, Answered(status, said.summary, len(self.trace))))

    def _propose(self, remediation: str) -> None:
        try:
            self.action = _action(fitting(self.skill, remediation, self.known), self.known)
            command = render(self.action, "replay").command
        except (UnknownAction, MissingEvidence) as error:
            self.action = None
            self._after(0.0, ProposalRefused((f"no action could be built from the evidence: {error}",)))
            return
        self._after(0.0, ProposalDrafted("replay", self.incident.working.revision + 1, command))

    def _verify(self) -> None:
        restore_s = None if self.action is None else _restores(self.action, self.case)
        if restore_s is None:
            waited = VerificationSampled("not_recovered", "the signal stayed as it was", None, rollback_approved=False)
            self._after(STILL_THERE_AFTER_S, waited)
            return
        at = _at(self.now_s + restore_s)
        self._after(restore_s, VerificationSampled("recovered", "the signal is back", at, rollback_approved=False))


def answer(case: Case, asked: str, at_s: float) -> Said:
    """What a question was answered at a time after the alert."""
    said = case.answers.get(asked, ())
    if not said:
        return NOT_RECORDED
    return said[min(int(at_s / case.step_s), len(said) - 1)]


def _at(seconds: float) -> datetime:
    return _ALERT_AT + timedelta(seconds=seconds)


def _incident(case: Case) -> Incident:
    return Incident(
        id=1,
        state=IncidentState.RECEIVED,
        outcome=None,
        version=1,
        title=case.labels.get("alertname", case.id),
        service=case.service,
        severity=case.labels.get("severity"),
        target=None,
        mode=None,
        skill=None,
        labels=case.labels,
        annotations=case.annotations,
        working=Working(),
        milestones={},
        opened_at=_ALERT_AT,
    )


def _action(remedy: Remediation, known: Mapping[str, Mapping[str, Any]]) -> Action:
    """As live; what `completed` would add there is only ever seen on a target. Raises as live."""
    params = gathered(remedy.params, parameters_of(remedy.action), known, remedy.params_from)
    return action_from_params(remedy.action, params)


def _restores(action: Action, case: Case) -> float | None:
    """Seconds until the signal is back; None: this is not the repair."""
    truth = case.truth
    if action.kind != truth.action or truth.restore_s is None or truth.component != case.target:
        return None
    params = action_to_params(action)
    return truth.restore_s if all(params.get(name) == value for name, value in truth.params.items()) else None


def component_of(skill: Skill, cause: str, case: Case, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The service or target a cause lies in. known: data of the answered checks. None: nobody can say.

    `ranked` is whom the causal ranking puts first, so it needs a causal check that was answered.
    """
    match skill.causes[cause].component:
        case "target":
            return case.target
        case "ranked":
            ranked = (known[name].get("services") for name in known if skill.checks[name].tool == "causal")
            found = (first_service(services, case.target) for services in ranked if services)
            return next((one for one in found if one is not None), None)
        case _:
            return case.service


def _judged(replay: _Replay) -> Played:
    case, truth, working = replay.case, replay.case.truth, replay.incident.working
    conclusion = working.conclusion
    cause = None if conclusion is None else conclusion.cause
    component = None if cause is None else component_of(replay.skill, cause, case, replay.known)
    mechanism_right = cause in {truth.mechanism, *(mechanism for _, mechanism in truth.also)}
    # Where nothing is broken it is broken nowhere: whoever says so is right about the place.
    nowhere = mechanism_right and cause in HARMLESS
    component_right = nowhere or component in {truth.component, *(component for component, _ in truth.also)}
    right = nowhere or (component, cause) in {(truth.component, truth.mechanism), *truth.also}
    action = replay.action if replay.incident.state is not IncidentState.INVESTIGATING else None
    restore_s = None if action is None else _restores(action, case)
    wrong_fix, harm = action is not None and restore_s is None, action is not None and truth.mechanism in HARMLESS
    mitigate_s = CAP_S
    if restore_s is not None:
        mitigate_s = replay.started_s + restore_s
    elif right and action is None and truth.action is None and replay.diagnosed_s is not None:
        mitigate_s = replay.diagnosed_s + HAND_OVER_S
    probability, calibration = _calibration(replay.skill, truth, working)
    return Played(
        skill=replay.skill.name,
        cause=cause,
        component=component,
        component_right=component_right,
        mechanism_right=mechanism_right,
        action=None if action is None else action.kind,
        acted=action is not None,
        wrong_fix=wrong_fix,
        harm=harm,
        abstained=conclusion is None,
        asked=tuple(asked.check for asked in replay.trace),
        diagnose_s=replay.diagnosed_s,
        mitigate_s=min(CAP_S, mitigate_s),
        mitigated=mitigate_s < CAP_S,
        utility=utility(
            mitigate_s=mitigate_s, cause_right=right, wrong_fix=wrong_fix, calibration=calibration, harm=harm
        ),
        probability=probability,
        refused=working.refused,
        trace=tuple(replay.trace),
        why=working.why,
    )


def _calibration(skill: Skill, truth: Truth, working: Working) -> tuple[float, float]:
    """Belief in the leading cause, and one minus its squared error. none_of_these is right where no cause of the skill
    is true.
    """
    leader = max(working.beliefs, key=lambda cause: working.beliefs[cause])
    true = {truth.mechanism, *(mechanism for _, mechanism in truth.also)}
    right = not (true & set(skill.causes)) if leader == NONE_OF_THESE else leader in true
    belief = working.beliefs[leader]
    return belief, 1 - (belief - right) ** 2
