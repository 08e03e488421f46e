"""What the incident page and the API say of earlier incidents, of lessons, and of the same elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from service.steps.remember import recalled

if TYPE_CHECKING:
    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.ports import Ports


def remembered(tx: Transaction, ports: Ports, incident: Incident) -> dict[str, Any]:
    """JSON-ready: {incidents, hypotheses, margin, clear, lessons, siblings}.

    incidents: similar ones, best first, with what they share; hypotheses: causes they suggest, each with the checks
    that found it and, of those, the ones this incident has not made. All lists empty: nothing is alike.
    siblings null: nobody has looked for the same elsewhere, which happens after a verified fix.
    """
    return {**recalled(tx, ports, incident), "siblings": siblings(tx, incident)}


def siblings(tx: Transaction, incident: Incident) -> dict[str, Any] | None:
    """The newest sibling sweep with its summary."""
    rows = [row for row in tx.all("evidence", incident=incident.id) if row["name"] == "sibling_sweep"]
    if not rows:
        return None
    return {"evidence": f"E{rows[-1]['id']}", "status": rows[-1]["status"], "summary": rows[-1]["summary"],
            **orjson.loads(bytes(rows[-1]["body"]))}  # fmt: skip
