"""Fetches the typefaces that service/static/fonts holds, and refuses any byte that differs from these digests.

Run by hand when a version changes: `python -m service.pages.vendor`. It needs npm; the running service does not.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FONTS = Path(__file__).parent.parent / "static" / "fonts"

PACKAGES = {
    "@fontsource/ibm-plex-sans@5.3.0": {
        "ibm-plex-sans-latin-400-normal.woff2": "3b646991d30055a93a4ecc499713d4347953a74a947ecab435ab72070cbdab0e",
        "ibm-plex-sans-latin-500-normal.woff2": "0717336fb31fcdcde4b8deb3675bb4a0f7f6d484864afcd6751ac29975962203",
        "ibm-plex-sans-latin-600-normal.woff2": "8960851d691c054ed38e259bdcf1a6190d157b4203ed5bb32c632a863fb8ec2f",
        "LICENSE": "d0283623ef57e722fd0eb688a8041589670c608ab780cd3612d06ba6f153d3fd",
    },
    "@fontsource/ibm-plex-mono@5.3.0": {
        "ibm-plex-mono-latin-400-normal.woff2": "08949f728dc52d528e69b1667d15c89a5686a4ee9a296ff90983985f99c380f7",
        "ibm-plex-mono-latin-500-normal.woff2": "01d285447409c8a588692162439a038b8cbd7871309ee20267b0d2d91c6e8e22",
        "LICENSE": "23b0a9d0c6d3f140a0b77e483c5cfa6bba574325ef5cb189ed9f2fec4884533f",
    },
}
"""SIL Open Font License 1.1, whose text goes beside the files. SHA-256 of each."""


def target(package: str, member: str) -> Path:
    """Where a member of a package lies in the tree."""
    family = package.partition("/")[2].partition("@")[0]
    return FONTS / (f"{family}.LICENSE" if member == "LICENSE" else member)


def unpack(archive: Path, package: str) -> None:
    """Raises SystemExit on a digest that is not the one above."""
    with tarfile.open(archive) as tar:
        for member, sha256 in PACKAGES[package].items():
            file = tar.extractfile("package/" + ("" if member == "LICENSE" else "files/") + member)
            content = file.read() if file else b""
            if hashlib.sha256(content).hexdigest() != sha256:
                raise SystemExit(f"{package}: {member} is not the file we know")
            target(package, member).write_bytes(content)


def main() -> None:
    FONTS.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package, "--pack-destination", folder], check=True)
            unpack(next(Path(folder).glob("*.tgz")), package)
        sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()
