"""Text from outside, made safe to read: nothing invisible, nothing endless, no link that is not plain http."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

LIMIT_CHARS = 300
"""What a line of a page takes of a text from outside; the rest is said to be cut."""
LINK_CHARS = 2000

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, keep: str = "") -> str:
    """Control, invisible and direction-changing characters spelled out as `[U+202E]`, but for those in keep."""
    return "".join(
        f"[U+{ord(character):04X}]"
        if character not in keep and unicodedata.category(character) in _HIDDEN
        else character
        for character in text
    )


def shown(text: object, limit_chars: int = LIMIT_CHARS) -> str:
    """One line. A longer text ends with a mark that says how much is missing."""
    whole = str(text)
    line = visible(" ".join(whole[:limit_chars].split()))
    missing = len(whole) - limit_chars
    return line if missing <= 0 else f"{line}… [cut, {missing:,} more characters]"


def exact(command: str) -> str:
    """A command, never cut, with its lines; what cannot be seen is spelled out."""
    return visible(command, keep="\n\t")


def hides(command: str) -> bool:
    """Whether the command holds characters that nobody would see."""
    return exact(command) != command


def link(url: object) -> str | None:
    """The address when it is plain http or https that a reader can judge by eye; None for anything else."""
    text = str(url)
    if len(text) > LINK_CHARS or any(ord(one) <= ord(" ") or ord(one) > ord("~") for one in text):
        return None
    try:
        parts: SplitResult = urlsplit(text)
    except ValueError:
        return None
    honest = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and "\\" not in text
    return text if honest else None


# --- Figures -----------------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Three significant digits, thousands apart; what is not known says so."""
    if value is None:
        return "not known"
    if value == 0:
        return "0"
    if abs(value) >= 1000:  # noqa: PLR2004 from here on digits after the point say nothing
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"  # noqa: PLR2004 below it zeros cannot be counted


def compact(value: float) -> str:
    """For an axis: `11.4 M`."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= power:
            return f"{value / (1e3 if letter == 'k' else power):.3g} {letter}"
    return number(value)


def signed(value: float | None) -> str:
    if value is None:
        return "not known"
    return number(value) if value < 0 else f"+{number(value)}"


def share(value: float | None) -> str:
    """A probability, two digits."""
    return "" if value is None else f"{value:.2f}"


def size(count: float | None) -> str:
    """Bytes in powers of 1024, as PostgreSQL's pg_size_pretty counts them."""
    if count is None:
        return "not known"
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1024:  # noqa: PLR2004 a power of two
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"  # noqa: PLR2004 digits


def span(seconds: float | None) -> str:
    """A duration in at most two units: `4.2 s`, `13 min`, `1 h 4 min`."""
    if seconds is None:
        return "not known"
    if seconds < 60:  # noqa: PLR2004 a minute
        return f"{seconds:.1f} s" if seconds < 10 and seconds != int(seconds) else f"{seconds:.0f} s"  # noqa: PLR2004
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (amount, _) in enumerate(units) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in units[first : first + 2] if amount)


def short(seconds: float | None) -> str:
    """A duration in one unit and two digits, for a column of them: `46 s`, `3.9 min`, `16 min`."""
    if seconds is None:
        return "not known"
    for limit, unit_s, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (math.inf, 86_400, "d")):
        if seconds < limit - unit_s / 2:
            amount = seconds / unit_s
            return f"{amount:.1f} {unit}" if amount < 9.95 and round(amount, 1) % 1 else f"{amount:.0f} {unit}"  # noqa: PLR2004
    raise AssertionError("infinity is more than any duration")


def countdown(seconds: float) -> str:
    """`05:41`, the way a clock on a wall counts down."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso).astimezone(UTC)


def clock(iso: str) -> str:
    return f"{moment(iso):%H:%M:%S}"


def day(iso: str) -> str:
    return f"{moment(iso).day} {moment(iso):%b %Y}"


def day_of(at: datetime) -> str:
    """`21 Nov`, for an axis."""
    return f"{at.astimezone(UTC).day} {at.astimezone(UTC):%b}"


def day_and_clock(iso: str) -> str:
    return f"{day(iso)}, {clock(iso)}"


def words(name: str) -> str:
    """An identifier of ours as words: `missing_index`, `VerificationSampled`."""
    spaced = "".join(f" {one.lower()}" if one.isupper() else one for one in name)
    return " ".join(spaced.replace("_", " ").replace("-", " ").split())
