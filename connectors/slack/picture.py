"""A series as a PNG of a few kilobytes, drawn with NumPy alone: lines, a threshold, a band, and a small fixed font."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, ROW_HEIGHT = 1200, 260
MAX_ROWS = 4
LEFT, RIGHT, TOP, BOTTOM = 110, 20, 44, 34
PAPER, INK, LINE, GRID = (255, 255, 255), (40, 40, 46), (23, 92, 211), (226, 228, 233)
RED, SHADE = (190, 40, 40), (255, 244, 224)
ZOOM = 2

_GLYPHS = {
    " ": "0000000", "0": "EHJLPHE", "1": "4C4444E", "2": "EH1248V", "3": "V2421HE", "4": "26AIV22", "5": "VGU11HE",
    "6": "68GUHHE", "7": "V124888", "8": "EHHEHHE", "9": "EHHF12C", ".": "00000CC", ",": "0000C48", ":": "0CC0CC0",
    "-": "000V000", "+": "044V440", "/": "01248G0", "%": "OP248J3", "|": "4444444", "_": "000000V", "(": "2488842",
    ")": "8422248", "=": "00V0V00", "A": "EHHVHHH", "B": "UHHUHHU", "C": "EHGGGHE", "D": "SIHHHIS", "E": "VGGUGGV",
    "F": "VGGUGGG", "G": "EHGNHHF", "H": "HHHVHHH", "I": "E44444E", "J": "72222IC", "K": "HIKOKIH",
    "L": "GGGGGGV", "M": "HRLLHHH", "N": "HHPLJHH", "O": "EHHHHHE", "P": "UHHUGGG", "Q": "EHHHLID", "R": "UHHUKIH",
    "S": "FGGE11U", "T": "V444444", "U": "HHHHHHE", "V": "HHHHHA4", "W": "HHHLLLA", "X": "HHA4AHH", "Y": "HHHA444",
    "Z": "V1248GV", "[": "E88888E", "]": "E22222E", "<": "248G842", ">": "8421248", "'": "4400000",
}  # fmt: skip
"""Seven rows of five dots, a row a base-32 digit whose highest bit is the left dot. Anything else is a box."""
_BOX = "VHHHHHV"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


@dataclass(frozen=True, slots=True)
class Line:
    """times: epoch seconds, rising; values: None is a gap. name and unit are drawn in capitals."""

    name: str
    times: Sequence[float]
    values: Sequence[float | None]
    unit: str = ""
    threshold: float | None = None


def png(lines: Sequence[Line], *, marks: Sequence[tuple[float, float]] = ()) -> bytes | None:
    """One row a line, on one time axis, at most MAX_ROWS. marks: (from, to) in epoch seconds, shaded. None: no data."""
    drawn = [one for one in lines if any(value is not None for value in one.values)][:MAX_ROWS]
    if not drawn:
        return None
    start = min(float(one.times[0]) for one in drawn)
    end = max(*(float(one.times[-1]) for one in drawn), start + 1.0)
    picture = np.full((ROW_HEIGHT * len(drawn), WIDTH, 3), PAPER, np.uint8)
    for index, one in enumerate(drawn):
        _row(picture[index * ROW_HEIGHT : (index + 1) * ROW_HEIGHT], one, start, end, marks)
    return _encoded(picture)


def _row(area: np.ndarray, one: Line, start: float, end: float, marks: Sequence[tuple[float, float]]) -> None:
    height = ROW_HEIGHT - TOP - BOTTOM
    values = np.array([np.nan if value is None else float(value) for value in one.values])
    times = np.array([float(at) for at in one.times])
    known = values[np.isfinite(values)]
    ends = (float(known.max()), float(known.min()), one.threshold or 0.0, 0.0)
    highest, lowest = max(ends), min(ends)
    top = highest + (highest - lowest or 1.0) * 0.05
    column = LEFT + (times - start) / (end - start) * (WIDTH - LEFT - RIGHT - 1)
    for begin, finish in marks:
        left, right = (LEFT + (min(max(at, start), end) - start) / (end - start) * (WIDTH - LEFT - RIGHT - 1)
                       for at in (begin, finish))  # fmt: skip
        area[TOP : TOP + height, int(left) : max(int(right), int(left) + 2)] = SHADE

    def level(value: float) -> int:
        return int(TOP + (top - value) / (top - lowest) * (height - 1))

    for value in (lowest, (lowest + highest) / 2, highest):
        area[level(value), LEFT : WIDTH - RIGHT] = GRID
        _write(area, _figure(value), level(value) - 7, LEFT - 10, right=True)
    if one.threshold is not None:
        area[level(one.threshold), LEFT : WIDTH - RIGHT].reshape(-1, 3)[::2] = RED
        area[level(one.threshold) - 1, LEFT : WIDTH - RIGHT].reshape(-1, 3)[::2] = RED
    _curve(area, column, values, level)
    limit = "" if one.threshold is None else f"  LIMIT {_figure(one.threshold)}"
    _write(area, f"{one.name}{f' ({one.unit})' if one.unit else ''}{limit}", 12, LEFT)
    for share in (0.0, 0.5, 1.0):
        at = start + share * (end - start)
        place = LEFT + share * (WIDTH - LEFT - RIGHT - 1)
        _write(area, f"{_clock(at)}{' UTC' if share == 1.0 else ''}", ROW_HEIGHT - 24, int(place), right=share == 1.0)


def _curve(area: np.ndarray, column: np.ndarray, values: np.ndarray, level: Callable[[float], int]) -> None:
    """Two dots wide. A sample between two gaps is a dot."""
    spots = [(x, level(y)) if np.isfinite(y) else None for x, y in zip(column, values, strict=True)]
    for before, after in zip([None, *spots[:-1]], spots, strict=True):
        if after is None:
            continue
        x0, y0 = before or after
        x1, y1 = after
        count = int(max(abs(x1 - x0), abs(y1 - y0))) + 2
        xs = np.linspace(x0, x1, count).astype(int).clip(0, WIDTH - 2)
        ys = np.linspace(y0, y1, count).astype(int).clip(0, ROW_HEIGHT - 2)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            area[ys + down, xs + right] = LINE


def _write(area: np.ndarray, text: str, row: int, column: int, *, right: bool = False) -> None:
    """Cut at the edge of the picture."""
    step = 6 * ZOOM
    text = text.upper()[: (WIDTH - LEFT) // step]
    at = column - len(text) * step if right else column
    at = min(at, WIDTH - len(text) * step)
    for letter in text:
        rows = [_DIGITS.index(digit) for digit in _GLYPHS.get(letter, _BOX)]
        dots = np.array([[bool(bits & (16 >> dot)) for dot in range(5)] for bits in rows])
        block = np.kron(dots, np.ones((ZOOM, ZOOM), bool))
        part = area[max(row, 0) : row + block.shape[0], max(at, 0) : at + block.shape[1]]
        part[block[: part.shape[0], : part.shape[1]]] = INK
        at += step


def _figure(value: float) -> str:
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e4, "K")):
        if abs(value) >= power:
            return f"{value / (1e3 if letter == 'K' else power):.3g}{letter}"
    return f"{value:.3g}"


def _clock(epoch_s: float) -> str:
    seconds = int(epoch_s) % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _encoded(picture: np.ndarray) -> bytes:
    """Source: PNG specification, third edition, sections 5 and 11; one IDAT, no filter."""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 1:] = picture.reshape(height, -1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = zlib.compress(rows.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
