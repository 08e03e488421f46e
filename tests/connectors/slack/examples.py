"""Values to build messages from, and a reader of mrkdwn that is not the writer's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from connectors.slack.messages import Case, Decided, Message, Proposal, Running, Stage

AT = datetime(2026, 11, 21, 12, 15, 12, tzinfo=UTC)
HOSTILE = (
    "<!channel> <!here|x> <@U0ADA> <#C1> <!subteam^S1> <https://evil.example|Approve> https://evil.example *b* _i_ ~s~ "
    "`c` ```f``` &lt;!channel&gt; :rotating_light: \u202egnp.exe \u200b\ufeff\x00\x1b[31m 'x'; DROP TABLE y;-- "
)
LONG = HOSTILE + "A" * 100_000
TOKEN = re.compile(r"<([^<>]*)>")
ALLOWED = re.compile(
    r"!date\^[0-9]+\^\{[a-z_]+\}\|[0-9:]+ UTC|https://stanch\.example[^|]*\|[^|]*|@U0(ADA|BOB)|!subteam\^S0OPS"
)


def case(**changes: Any) -> Case:
    known: dict[str, Any] = {
        "key": "INC-1042", "url": "https://stanch.example/i/INC-1042", "title": "checkout-db slow queries",
        "severity": "P1", "service": "checkout", "target": "shop (production)", "state": "awaiting_approval",
        "heading": "Checkout is slow because public.orders lacks an index",
        "lines": ("The alert's own signal went from 0.21 to 4.2 seconds.", "Stanch is 0.87 sure of it."),
        "detected_at": AT, "facts": (("Cause", "missing index, 0.87 sure"),),
    }  # fmt: skip
    return Case(**known | changes)


def fix(stage: Stage = Stage.PROPOSED, **changes: Any) -> Proposal:
    known: dict[str, Any] = {
        "approval_id": "0b1f7c52-6a0e-4d43-9ab0-1c3a6c7f4b11", "revision": 3, "digest": "9f2c41d0b7e8" + "0" * 52,
        "nonce": "k3Vq9sQe", "stage": stage,
        "command": 'CREATE INDEX CONCURRENTLY "i" ON "public"."orders" ("customer_id")',
        "rollback": 'DROP INDEX CONCURRENTLY "public"."i"', "facts": (("Risk", "medium"), ("Lock", "writes go on")),
        "needed": 2, "approvers": ("ada@example.com", "bob@example.com"), "decide_by": AT,
        "decided": (Decided("ada@example.com", "U0ADA", "approve", "", "slack", AT),
                    Decided("bob@example.com", "U0BOB", "deny", "month-end batch", "slack", AT)),
        "running": Running("run", "building index: scanning table", 62.0, "2,980 of 4,810 blocks"),
        "result": "p99 4.2 s to 0.24 s", "replaced_by": 4, "figures": (("Time to restore", "13 min 4 s"),),
    }  # fmt: skip
    return Proposal(**known | changes)


def hostile_case(text: str = LONG) -> Case:
    return case(title=text, severity=text, service=text, target=text, heading=text, lines=(text,) * 3,
                facts=((text, text),) * 8)  # fmt: skip


def hostile_fix(stage: Stage, text: str = LONG) -> Proposal:
    return fix(
        stage, command=text, rollback=text, facts=((text, text),) * 9, approvers=(text,) * 30,
        decided=tuple(Decided(text, None, one, text, text, AT) for one in ("approve", "deny") * 12),
        running=Running(text, text, 62.0, text), result=text, figures=((text, text),) * 4,
    )  # fmt: skip


def texts(part: Any) -> list[str]:
    """Every text that Slack reads, of whatever kind."""
    match part:
        case Message():
            return [part.text, *texts(list(part.blocks))]
        case dict():
            own = [part["text"]] if isinstance(part.get("text"), str) else []
            return own + [text for value in part.values() for text in texts(value)]
        case list() | tuple():
            return [text for one in part for text in texts(one)]
        case _:
            return []


def tokens(part: Any) -> list[str]:
    """Mentions, links and the like that Slack would make something of."""
    return [token for text in texts(part) for token in TOKEN.findall(text)]
