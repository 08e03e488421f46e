"""POST /webhooks/generic/<source>: any JSON that stanch.yaml has a mapping for."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Request, Response, status

from service.routes.webhooks.door import ANSWERS, bearer, held_by, json_body, receive, refuse, router, unauthorised

MAX_SOURCE_CHARS = 40
EXAMPLE = {"check": "disk", "state": "critical", "host": {"service": "checkout"}}


@router.post(
    "/webhooks/generic/{source}",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ANSWERS,
    openapi_extra=json_body("Whatever the source's mapping in stanch.yaml reads", EXAMPLE),
)
async def generic(request: Request, source: Annotated[str, Path(max_length=MAX_SOURCE_CHARS)]) -> Response:
    """JSON of a source declared in stanch.yaml. The Bearer token must be that source's."""
    held = held_by(request)
    whose = bearer(request, held, "generic")
    configuration = held.ports.configuration
    if source not in configuration.sources or configuration.kind_of(source) != "generic":
        refuse(request, held, "no such source")
        raise HTTPException(
            status.HTTP_404_NOT_FOUND,
            "no such source: declare it under sources in stanch.yaml with kind generic and a mapping",
        )
    if whose != source:
        raise unauthorised(request, held, "the token of another source")
    return await receive(request, held, source)
