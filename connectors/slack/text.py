"""Text from outside in a Slack message: no mention, no link, no mark, nothing invisible, nothing endless."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from urllib.parse import urlsplit

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SLACK_ID = re.compile(r"[A-Z][A-Z0-9]{1,20}")
_MARKS = {"*": "\u2217", "~": "\u223c", "`": "'"}
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore within a word is only an underscore to Slack."""


def visible(text: str, *, keep: str = "") -> str:
    """Control, invisible and direction-changing characters spelled out as `[U+202E]`, but for those in keep."""
    return "".join(
        f"[U+{ord(one):04X}]" if one not in keep and unicodedata.category(one) in _HIDDEN else one for one in text
    )


def escape(text: str) -> str:
    """Slack's three control characters, in the order Slack asks for: no mention and no link can be written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def line(text: object, limit: int = 300) -> str:
    """One escaped line of at most limit characters as Slack counts them, with a mark that says how much is cut."""
    raw = str(text)
    return _cut(visible(" ".join(raw[: limit * 2].split())), limit, len(raw))


def lines(text: object, limit: int = 2800) -> str:
    """The same with its line ends kept."""
    raw = str(text)
    return _cut(visible(raw[: limit * 2], keep="\n\t"), limit, len(raw))


def _cut(clean: str, limit: int, raw_length: int) -> str:
    """Cut before escaping, so that no entity is halved."""
    whole = escape(clean)
    if len(whole) <= limit and raw_length <= limit * 2:
        return whole
    mark = f"… [cut, {raw_length:,} characters in all]"
    room, size, kept = max(0, limit - len(mark)), 0, 0
    for one in clean:
        size += len(escape(one))
        if size > room:
            break
        kept += 1
    return escape(clean[:kept]) + mark


def inert(text: object, limit: int = 200) -> str:
    """For the few places where a name stands in mrkdwn: escaped, its marks replaced by look-alikes."""
    safe = line(text, limit)
    for mark, other in _MARKS.items():
        safe = safe.replace(mark, other)
    return _EDGE_UNDERSCORE.sub("\uff3f", safe)


def code_block(command: str, limit: int) -> tuple[str, bool]:
    """A fenced block that its content cannot leave, and whether it shows the command whole and exactly.

    Not exact: something was cut, spelled out or replaced; then it must not be approved from here.
    """
    shown = visible(command, keep="\n\t").replace("```", "'''")
    if shown.startswith("`") or shown.endswith("`"):
        shown = f" {shown} "
    cut = lines(shown, limit)
    return f"```{cut}```", cut == escape(shown) and shown.strip() == command.strip()


def mention(user_id: str | None, name: str) -> str:
    """`<@U123>` for a Slack user we know, else the name as inert text."""
    return f"<@{user_id}>" if user_id and _SLACK_ID.fullmatch(user_id) else inert(name, 80)


def group_mention(group_id: str) -> str:
    return f"<!subteam^{group_id}>" if _SLACK_ID.fullmatch(group_id) else ""


def date(at: datetime, form: str = "{time_secs}") -> str:
    """In the reader's own zone; UTC where Slack cannot."""
    return f"<!date^{int(at.timestamp())}^{form}|{at.astimezone(UTC):%H:%M:%S} UTC>"


def link(url: str, words: str) -> str:
    """Only for addresses of our own pages. Empty when it is not plain http(s)."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(one in url for one in "<>| \n"):
        return inert(words)
    return f"<{url}|{inert(words).replace('|', '¦')}>"
