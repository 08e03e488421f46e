from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from connectors.embedded.debian import data_beside, program_from_package
from connectors.embedded.process import ServerFailed

if TYPE_CHECKING:
    from pathlib import Path

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are packed and unpacked by dpkg-deb")

# Answers as apt-get does: without own lists it knows no package; `download` puts the file into the current directory.
APT_GET = """\
#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *Dir::State*download*) cp {archive} . ;;
  *download*) echo "E: Unable to locate package" >&2; exit 100 ;;
esac
"""


def pack(place: Path) -> Path:
    tree = place / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN").chmod(0o755)
    (tree / "DEBIAN" / "control").write_text(
        "Package: beacon\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: a test\n"
    )
    (tree / "usr" / "bin").mkdir(parents=True)
    program = tree / "usr" / "bin" / "beacon"
    program.write_text("#!/bin/sh\necho lit\n")
    program.chmod(0o755)
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tree, place / "beacon.deb"], check=True, stdout=subprocess.DEVNULL
    )
    return place / "beacon.deb"


def fake_apt(place: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    calls = place / "calls"
    (place / "bin").mkdir()
    apt = place / "bin" / "apt-get"
    apt.write_text(APT_GET.format(calls=calls, archive=archive))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return calls


@needs_dpkg
def test_without_package_lists_our_own_are_fetched_and_the_package_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_apt(tmp_path, pack(tmp_path), monkeypatch)
    said: list[str] = []
    program = program_from_package("beacon", "beacon", tmp_path / "cache", "install it", said.append)
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == "lit\n"
    verbs = [next(verb for verb in ("update", "download") if verb in call) for call in calls.read_text().splitlines()]
    assert verbs == ["download", "update", "download"]
    assert len(said) == 2

    assert program_from_package("beacon", "beacon", tmp_path / "cache", "install it", said.append) == program
    assert len(calls.read_text().splitlines()) == 3


@needs_dpkg
def test_a_package_that_cannot_be_fetched_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path, tmp_path / "missing.deb", monkeypatch)
    with pytest.raises(ServerFailed) as failed:
        program_from_package("beacon", "beacon", tmp_path / "cache", "install Beacon 2", lambda _: None)
    assert "install Beacon 2" in str(failed.value)
    assert "missing.deb" in str(failed.value)
    assert sorted(path.name for path in (tmp_path / "cache" / "debian").iterdir()) == ["apt", "beacon.log"]


@needs_dpkg
def test_a_package_without_the_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_apt(tmp_path, pack(tmp_path), monkeypatch)
    with pytest.raises(ServerFailed, match="lamp is not in Debian's package beacon: install Lamp"):
        program_from_package("beacon", "lamp", tmp_path / "cache", "install Lamp", lambda _: None)


def test_on_another_system_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerFailed, match="this is no Debian to fetch it from: install Beacon 2"):
        program_from_package("beacon", "beacon", tmp_path / "cache", "install Beacon 2", lambda _: None)


@pytest.mark.parametrize("data_dir", ["/usr/share/beacon", "/usr/share/beacons"])
def test_a_program_with_a_built_in_path_gets_one_that_means_here(tmp_path: Path, data_dir: str) -> None:
    program = tmp_path / "root" / "usr" / "bin" / "beacon"
    program.parent.mkdir(parents=True)
    text = f"\x7fELF {data_dir}|{data_dir}/ui/|end"
    program.write_text(text)
    copy, data = data_beside(program, data_dir)
    assert data == tmp_path / "root" / data_dir[1:]
    assert copy.stat().st_mode & 0o777 == 0o755
    changed = copy.read_text()
    assert len(changed) == len(text)
    first, second, end = changed.removeprefix("\x7fELF ").split("|")
    assert (os.path.normpath(f"{first}/a.tmpl"), os.path.normpath(second), end) == ("a.tmpl", "ui", "end")
    assert program.read_text() == text
    assert data_beside(program, data_dir) == (copy, data)


def test_a_program_without_the_path_is_left_alone(tmp_path: Path) -> None:
    program = tmp_path / "root" / "usr" / "bin" / "beacon"
    program.parent.mkdir(parents=True)
    program.write_text("nothing built in")
    assert data_beside(program, "/usr/share/beacon")[0] == program
