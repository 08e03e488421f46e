"""Where a request comes from and where it may be sent: the guards of every form."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, HTTPException, Request, status

FORM_BYTES = 64 * 1024
FORM_FIELDS = 20


def cross_site(request: Request, public_url: str) -> bool:
    """Whether a browser says that another site sent this form. A client that says nothing has no cookies to abuse.

    Source: OWASP, Cross-Site Request Forgery Prevention, "Fetch Metadata" and "Verifying Origin".
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site != "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return False
    host = request.headers.get("host", "")
    return origin not in {_origin(public_url), f"http://{host}", f"https://{host}"}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def own_path(wanted: str) -> str:
    r"""The path to go to after a login, `/` for anything that could lead elsewhere.

    Browsers take `//host`, `/\host` and paths with tabs or line breaks in them for another host.
    """
    plain = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    printable = all(" " < one <= "~" for one in wanted)
    return wanted if plain and printable and len(wanted) <= 500 else "/"  # noqa: PLR2004 longer than any page of ours


async def fields(request: Request) -> dict[str, str]:
    """A form's fields, read with a limit. Raises 413, 415 or 400."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "a form is expected")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"a form has at most {FORM_BYTES} bytes")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS))
    except ValueError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "the form cannot be read") from error


Fields = Annotated[dict[str, str], Depends(fields)]
