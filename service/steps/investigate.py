"""The investigation's steps: answer one check, attribute the change, draft the proposal."""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent.brain.loops import result_hash
from agent.causal_check import Around, seen
from agent.database.checks import CHECKS
from agent.database.execution import Bounds, Statement
from agent.events import CheckAnswered, ProposalDrafted, ProposalRefused
from agent.incident import Answered, Incident, Milestone
from agent.metric_checks import METRIC_CHECKS, Answer, Change, ask, recent_change
from agent.runbook.parameters import MissingEvidence, gathered
from agent.runbook.pinned import skill_of
from agent.runbook.remedy import fitting
from connectors.store.store import Transaction, jsonb
from connectors.unreachable import Unreachable
from guardrails.action import UnknownAction, action_from_params, action_to_params, parameters_of
from guardrails.completed import completed
from guardrails.judge import judge
from guardrails.permit import digest, proposal_document
from service.steps import evidence
from service.steps.evidence import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.events import Event
    from agent.ports import Metrics
    from agent.runbook.skill import Check, Remediation, Skill
    from guardrails.action import Action
    from guardrails.verdict import Verdict
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save


def load_incident(held: Held) -> Incident:
    """Raises Unreachable when there is none."""
    with held.runner.store.transaction() as tx:
        incident = tx.incident(held.step.incident_id or 0)
    if incident is None:
        raise Unreachable("store", "the incident is gone", permanent=True)
    return incident


def load_skill(ports: Ports, incident: Incident) -> Skill:
    """The skill in the text that triage took. Raises Unreachable where that cannot be read any more."""
    skill = skill_of(ports.skills, incident)
    if skill is None:
        raise Unreachable("skill", f"{incident.skill} can no longer be read as it was", permanent=True)
    return skill


def check(ports: Ports, ask: Callable[[Ports, Incident, Skill, Check], Found]) -> Handler:
    """Answers the check that the step names; `ask` is how this process looks."""

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        skill = load_skill(ports, incident)
        asked = skill.checks[held.step.args["check"]]
        found = ask(ports, incident, skill, asked)
        if asked.predicate is not None:
            found = replace(found, status=asked.predicate.status(found.status, found.data))

        def save(tx: Transaction) -> Event:
            number = evidence.store(tx, held.step, asked.id, asked.tool, found)
            result = result_hash(found.status, found.data)
            return CheckAnswered(asked.id, Answered(found.status, found.summary, number, result))

        return save

    return handle


def ask_agent(ports: Ports, incident: Incident, skill: Skill, asked: Check) -> Found:  # noqa: ARG001 one signature
    """Checks of the queue `agent`: the database, plain metrics, changes."""
    match asked.tool:
        case "database":
            return _ask_database(ports, incident, asked)
        case "metrics":
            return _found(_ask_metrics(ports, incident, asked))
        case "changes":
            return _found(_ask_changes(ports, incident))
        case "causal":
            raise Unreachable("causal", "this process does not serve the causal queue", permanent=True)


def _found(answer: Answer) -> Found:
    return Found(answer.status, answer.summary, answer.data)


def _ask_database(ports: Ports, incident: Incident, asked: Check) -> Found:
    if incident.target is None:
        return Found("not_visible", "no configured target belongs to this alert", {})
    known = evidence.known(ports.store, incident.id)
    with ports.reader(incident.target) as reader:
        seen = CHECKS[asked.query].run(reader, {name: data for name, data in known.items() if name in CHECKS})
    return Found(seen.status, seen.summary, seen.data)


def _ask_metrics(ports: Ports, incident: Incident, asked: Check) -> Answer:
    _, kinds = METRIC_CHECKS.get(asked.query, (None, frozenset()))
    if ports.metrics is None or not any(metric.kind in kinds for metric in ports.configuration.metrics):
        return Answer("not_visible", f"no Prometheus or no metric that {asked.query} reads is configured", {})
    looked = replace(around(ports, incident), changes=_changes(ports, incident))
    return ask(asked.query, seen(ports.metrics, looked, kinds))


def around(ports: Ports, incident: Incident) -> Around:
    """The incident and where to look round it; its expression and the changes are added by who needs them."""
    start, now = window(ports, incident)
    return Around(
        service=incident.service,
        target=incident.target,
        expr=None,
        start=start,
        end=now,
        impact_start=incident.milestones[Milestone.IMPACT_START],
        detected=incident.milestones[Milestone.DETECTED],
        step_s=ports.configuration.ranking.step_s,
        metrics=ports.configuration.metrics,
        graph=ports.configuration.graph,
        databases=tuple(ports.configuration.targets),
    )


def _ask_changes(ports: Ports, incident: Incident) -> Answer:
    services = ports.configuration.reachable(incident.service or "")
    return recent_change(_changes(ports, incident), services, incident.milestones[Milestone.IMPACT_START])


def _changes(ports: Ports, incident: Incident) -> list[Change]:
    impact = incident.milestones[Milestone.IMPACT_START]
    with ports.store.transaction() as tx:
        rows = tx.all("changes_between", start=impact - timedelta(hours=1), end=impact + timedelta(minutes=5))
    return [Change(row["service"], row["version"], row["summary"], row["at"]) for row in rows]


def window(ports: Ports, incident: Incident) -> tuple[Any, Any]:
    """From before the impact until now, by the store's clock."""
    with ports.store.transaction() as tx:
        now = tx.now()
    return incident.milestones[Milestone.IMPACT_START] - timedelta(seconds=ports.configuration.ranking.before_s), now


# --- The proposal ------------------------------------------------------------------------------------------------


def propose(ports: Ports) -> Handler:
    """Builds the typed action from evidence, lets the guardrail judge it, stores what an approver will sign."""

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        skill = load_skill(ports, incident)
        remedy = next(fix for fix in skill.remediations if fix.id == held.step.args["remediation"])
        known = evidence.known(ports.store, incident.id)
        target = incident.target or ""
        if remedy.cause in incident.working.barred:
            return _refuse("the same fix did not help before; ask for another look to try it again")
        try:
            remedy = fitting(skill, remedy.id, known)
            params = _params(remedy, known) if held.step.args.get("params") is None else held.step.args["params"]
            action = action_from_params(remedy.action, params)
            proposal_id = str(uuid.uuid4())
            with ports.store.transaction() as tx:
                now, recent = tx.now(), recent_executions(tx, ports, target)
            facts, hidden = ports.facts(target, action, now, recent)
            action = completed(action, facts)
        except (UnknownAction, MissingEvidence) as error:
            return _refuse(f"no action could be built from the evidence: {error}")
        verdict = judge(action, facts, ports.configuration.rules, proposal_id=proposal_id)
        if not verdict.allowed:
            refusals = [finding for finding in verdict.findings if finding.level == "refuse"]
            return _refuse(*(f"{finding.why} ({finding.fix})" for finding in refusals))
        identity = ports.identity(target)
        verification = verification_of(ports, incident, roll_back=remedy.roll_back_on_regression)
        verification |= terms_of(known, remedy.params_from)
        return lambda tx: _store_proposal(
            tx, ports, incident, proposal_id, target, identity, action, verdict, verification,
            {**asdict(facts), "not_visible": [one.as_data() for one in hidden]}, held.step.args.get("by"),
        )  # fmt: skip

    return handle


def recent_executions(tx: Transaction, ports: Ports, target: str) -> int:
    """Started on the target within the policy's window."""
    window_s = ports.configuration.rules.rate_limit.window_s
    row = tx.one("started_executions_since", target=target, window_s=window_s)
    return int(row["started"]) if row else 0


def _params(remedy: Remediation, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The action's parameters out of the evidence, as the skill says. Raises MissingEvidence."""
    return gathered(remedy.params, parameters_of(remedy.action), known, remedy.params_from)


def terms_of(known: dict[str, dict[str, Any]], params_from: str) -> dict[str, Any]:
    """What is signed beside the command and holds the executor: when it must stop, and which statement the fix is for.

    statement null: the fix is for no one statement that pg_stat_statements counts.
    """
    named = (known.get(name, {}) for name in (params_from, "slow_statement", *known))
    found = next((statement for data in named if (statement := _statement(data)) is not None), None)
    return {"bounds": Bounds().as_data(), "statement": None if found is None else found.as_data()}


def _statement(data: dict[str, Any]) -> Statement | None:
    """The statement that a check's data names: at its top, or in its first finding. One only seen running has no id."""
    findings = data.get("findings") or [{}]
    written = data.get("statement") or (findings[0].get("data") or {}).get("statement")
    if not written or not written.get("queryid"):
        return None
    # A check's own sample calls it mean_exec_ms, as pg_stat_statements does; the diagnosis behind a finding mean_ms.
    mean_ms = written["mean_exec_ms"] if "mean_exec_ms" in written else written["mean_ms"]
    return Statement(str(written["queryid"]), str(written["user"]), round(1000 * float(mean_ms)), int(written["calls"]))


def _refuse(*reasons: str) -> Save:
    event = ProposalRefused(reasons or ("the guardrail gave no reason",))
    return lambda _tx: event


def verification_of(ports: Ports, incident: Incident, *, roll_back: bool) -> dict[str, Any]:
    """What will count as recovery: part of what the approver signs. expr null: inconclusive, whatever happens."""
    plan = ports.configuration.verification
    expr = expression_of(ports.metrics, ports, incident)
    return {
        "expr": expr,
        "window_s": _canonical(plan.window_s),
        "deadline_s": _canonical(plan.deadline_s),
        "step_s": _canonical(plan.step_s),
        "rollback_on_regression": roll_back,
    }


def _canonical(seconds: float) -> int | float:
    """Whole numbers as integers, so that JSON from the store and JSON we built are the same bytes."""
    return int(seconds) if float(seconds).is_integer() else seconds


def expression_of(metrics: Metrics | None, ports: Ports, incident: Incident) -> str | None:
    """The alert's own expression: from Prometheus' rules, else the SLI declared in stanch.yaml, else None."""
    if metrics is not None:
        try:
            rule = metrics.rule(incident.alertname, incident.labels)
        except Unreachable:
            rule = None
        if rule is not None:
            return rule.expr
    return ports.configuration.sli(incident.alertname)


def _store_proposal(
    tx: Transaction,
    ports: Ports,
    incident: Incident,
    proposal_id: str,
    target: str,
    identity: dict[str, Any],
    action: Action,
    verdict: Verdict,
    verification: dict[str, Any],
    facts: dict[str, Any],
    proposed_by: str | None,
) -> Event:
    policy, now = ports.configuration.rules, tx.now()
    decide_by = now + timedelta(seconds=policy.decide_within_s)
    start_by = decide_by + timedelta(seconds=policy.start_within_s)
    revision = incident.working.revision + 1
    document = proposal_document(
        incident=incident.key,
        proposal=proposal_id,
        revision=revision,
        target_kind="postgresql",
        target_identity=identity,
        action=action,
        rendered=verdict.rendered,
        verification=verification,
        decide_by=decide_by,
        start_by=start_by,
        approvers_needed=verdict.approvers_needed,
    )
    tx.run(
        "add_proposal",
        id=proposal_id,
        incident=incident.id,
        revision=revision,
        action=action.kind,
        params=jsonb(action_to_params(action)),
        target=target,
        command=verdict.rendered.command,
        cleanup=verdict.rendered.cleanup,
        rollback=verdict.rendered.rollback,
        document=jsonb(document),
        digest=digest(document),
        verdict=jsonb(asdict(verdict)),
        facts=jsonb(facts),
        decide_by=decide_by,
        start_by=start_by,
        approvers_needed=verdict.approvers_needed,
        proposed_by=proposed_by,
    )
    return ProposalDrafted(proposal_id, revision, verdict.rendered.command)
