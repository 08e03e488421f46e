"""Fetches what service/static holds of other people's work, and refuses any byte that differs from these digests.

Run by hand when a version changes: `python -m service.pages.vendor`. It needs npm; the running service does not.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a package. member: its path inside; place: under service/static; sha256: of its bytes."""

    member: str
    place: str
    sha256: str


PACKAGES: dict[str, tuple[Kept, ...]] = {
    "@fontsource-variable/ibm-plex-sans@5.3.0": (
        Kept(
            "files/ibm-plex-sans-latin-wght-normal.woff2",
            "fonts/ibm-plex-sans-latin-wght-normal.woff2",
            "e2291e842cf5af167122a22881a740c7f2dda7716f1e8cd76680264f4a859470",
        ),
        Kept(
            "LICENSE",
            "fonts/ibm-plex-sans.LICENSE",
            "d0283623ef57e722fd0eb688a8041589670c608ab780cd3612d06ba6f153d3fd",
        ),
    ),
    "@fontsource/ibm-plex-mono@5.3.0": (
        Kept(
            "files/ibm-plex-mono-latin-400-normal.woff2",
            "fonts/ibm-plex-mono-latin-400-normal.woff2",
            "08949f728dc52d528e69b1667d15c89a5686a4ee9a296ff90983985f99c380f7",
        ),
        Kept(
            "LICENSE",
            "fonts/ibm-plex-mono.LICENSE",
            "23b0a9d0c6d3f140a0b77e483c5cfa6bba574325ef5cb189ed9f2fec4884533f",
        ),
    ),
    "htmx.org@2.0.11": (
        Kept(
            "dist/htmx.min.js",
            "vendor/htmx.min.js",
            "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
        ),
        Kept(
            "LICENSE",
            "vendor/htmx.LICENSE",
            "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
        ),
    ),
    "uplot@1.6.32": (
        Kept(
            "dist/uPlot.min.css",
            "vendor/uplot.min.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
        Kept(
            "dist/uPlot.iife.min.js",
            "vendor/uplot.min.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        Kept(
            "LICENSE",
            "vendor/uplot.LICENSE",
            "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        ),
    ),
    "@dagrejs/dagre@3.1.3": (
        Kept(
            "dist/dagre.min.js",
            "vendor/dagre.min.js",
            "54a503e346f93ca0bb10abe7999587e037262935687aca45eb4e4b0f64bbb578",
        ),
        Kept("LICENSE", "vendor/dagre.LICENSE", "6a349742a6cb219d5a2fc8d0844f6d89a6efc62e20c664450d884fc7ff2d6015"),
    ),
}
"""Fonts: SIL Open Font License 1.1. htmx: Zero-Clause BSD. uPlot, dagre: MIT."""


def unpack(archive: Path, package: str) -> None:
    """Raises SystemExit on a digest that is not the one above."""
    with tarfile.open(archive) as tar:
        for kept in PACKAGES[package]:
            file = tar.extractfile(f"package/{kept.member}")
            content = file.read() if file else b""
            if hashlib.sha256(content).hexdigest() != kept.sha256:
                raise SystemExit(f"{package}: {kept.member} is not the file we know")
            (STATIC / kept.place).write_bytes(content)


def main() -> None:
    for folder in ("fonts", "vendor"):
        (STATIC / folder).mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package, "--pack-destination", folder], check=True)
            unpack(next(Path(folder).glob("*.tgz")), package)
        sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()
