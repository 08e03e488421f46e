"""Markdown as HTML that can do nothing: no raw HTML, no images, no link that is not plain http."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

from service.pages.text import link, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

LIMIT_CHARS = 40_000
"""Longer than any postmortem; the rest is cut and said to be."""


def inert(text: str) -> Markup:
    """text: anybody's. Headings start at the third level, below a page's own."""
    cut = visible(text[:LIMIT_CHARS].replace("\r\n", "\n"), keep="\n\t")
    more = f"\n\n[cut, {len(text) - LIMIT_CHARS:,} more characters]" if len(text) > LIMIT_CHARS else ""
    # markdown-it escapes whatever it does not make itself, and html=False leaves it nothing else to pass on.
    return Markup(_READER.render(cut + more))  # noqa: S704 see above


def _reader() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.validateLink = lambda url: link(url) is not None  # type: ignore[method-assign]  # the place it offers for this
    made.add_render_rule("link_open", _link)
    for rule in ("heading_open", "heading_close"):
        made.add_render_rule(rule, _heading)
    return made


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, index, options, env)


def _heading(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[index]
    token.tag = f"h{min(6, int(token.tag[1]) + 1)}" if token.tag[0] == "h" else token.tag
    return renderer.renderToken(tokens, index, options, env)


_READER = _reader()
