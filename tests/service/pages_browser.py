"""A browser without a screen: cookies, forms and headers, on the real application."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx

from service.app import create
from tests.service.pages_examples import ORIGIN, TOKENS

if TYPE_CHECKING:
    from service.context import Context

INLINE = {"a", "b", "code", "span", "strong", "time", "text"}
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}


class Browser:
    """Keeps its cookies from one request to the next; follows nothing by itself."""

    def __init__(self, held: Context) -> None:
        self._app = create(held)
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **more))

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
            answer = await client.request(method, path, **more)
            self.cookies = client.cookies
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, headers={"Accept": "text/html", **headers})

    def post(self, path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> httpx.Response:
        return self.request("POST", path, data=form, headers=OWN if headers is None else headers)

    def log_in(self, person: str = "Ada") -> Browser:
        answer = self.post("/login", {"token": TOKENS[person], "next": "/"})
        assert answer.status_code == 303
        return self


class Read(HTMLParser):
    """A page taken apart as a browser would: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self.feed(html)
        self.text = " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INLINE:
            self._text.append(" ")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def form(self, decision: str) -> dict[str, str]:
        """The hidden fields of the form that decides so."""
        fields = [one for one in self.all("input") if one.get("type") == "hidden"]
        start = next(i for i, one in enumerate(fields) if one["name"] == "decision" and one["value"] == decision)
        return {one["name"]: one["value"] for one in fields[start - 1 : start + 3]}
