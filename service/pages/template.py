"""The one Jinja environment: everything is escaped, an unknown name is an error."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.pages import text

if TYPE_CHECKING:
    from fastapi import Request

    from service.identity import Person

NAVIGATION = (
    ("/", "Overview"),
    ("/incidents", "Incidents"),
    ("/skills", "Skills"),
    ("/audit", "Audit"),
    ("/settings", "Settings"),
)
"""Address and name of each page that is always there, in order."""
ROOT = Path(__file__).parent.parent
TEMPLATES, STATIC = ROOT / "templates", ROOT / "static"


@cache
def static(name: str) -> str:
    """The address of a static file; it changes with its content."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        shown=text.shown,
        exact=text.exact,
        link=text.link,
        number=text.number,
        signed=text.signed,
        share=text.share,
        size=text.size,
        span=text.span,
        short=text.short,
        countdown=text.countdown,
        clock=text.clock,
        day=text.day,
        day_and_clock=text.day_and_clock,
        words=text.words,
    )
    made.globals.update(static=static, navigation=NAVIGATION)
    return made


ENVIRONMENT = _environment()


def render(name: str, /, **values: Any) -> str:
    return ENVIRONMENT.get_template(name).render(values)


def page(name: str, person: Person | None, csrf: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A whole page. csrf: empty for a stranger, who has no form but the login's."""
    return HTMLResponse(render(name, person=person, csrf=csrf, **values), status)


def wants_fragment(request: Request) -> bool:
    """Whether only the part that changes is asked for."""
    return bool(request.headers.get("x-fragment")) or request.query_params.get("fragment") == "1"
