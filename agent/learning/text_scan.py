"""What learnt text must not hold: secrets, names of machines and people, invisible characters, orders to a reader.

Text from outside is data. A hit never says that the text is an attack, only that nothing is learnt from it unread.
"""

from __future__ import annotations

import re
import unicodedata

_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bxox[abposr]-[A-Za-z0-9-]{10,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.|[a-z+]{2,20}://[^\s/:@]+:[^\s/@]+@"
    r"|(?i:\b(?:password|passwd|secret|api[_-]?key|token)\b\s*[=:]\s*['\"]?[^\s'\"]{6,})"
)
_MACHINES = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[\w.+-]+@[\w-]+\.[\w.-]+\b"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|dev|local|internal|lan|corp|cloud)\b",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|prior|above|earlier|all)\b.{0,30}\b(?:instruction|rule|prompt)"
    r"|\byou (?:are now|must now)\b|<\|?(?:system|im_start)|\bsystem prompt\b|\bauto-?approve\b|\bwithout approval\b",
    re.IGNORECASE,
)
_COMMANDS = re.compile(
    r"\b(?:curl|wget)\b[^\n]*\|\s*(?:ba|z)?sh\b|\bdrop\s+(?:table|database|schema)\b|\btruncate\s+table\b|\brm\s+-rf\b",
    re.IGNORECASE,
)
_HIDDEN = frozenset({"Cf", "Co", "Cs"})
_PLAIN_CONTROL = frozenset("\n\t\r")


def problems(text: str) -> tuple[str, ...]:
    """What is wrong with a text, one word each; empty: nothing found. The text itself is not repeated."""
    found = []
    if _SECRETS.search(text):
        found.append("secret")
    if _MACHINES.search(text):
        found.append("host, address or mail name")
    if any(unicodedata.category(c) in _HIDDEN or (unicodedata.category(c) == "Cc" and c not in _PLAIN_CONTROL)
           for c in text):  # fmt: skip
        found.append("invisible character")
    if _ORDERS.search(text):
        found.append("order to the reader")
    if _COMMANDS.search(text):
        found.append("command that destroys")
    return tuple(found)
