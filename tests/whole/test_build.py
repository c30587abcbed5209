"""The build: twice the same bytes, all that is needed in them, and nothing of the machine that built them."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.processes import finish, launch
from tests.pythons import interpreters

ROOT = Path(__file__).resolve().parents[2]
MADE = shutil.ignore_patterns("__pycache__", "vendor", "*.mo")  # what a clone does not have
BUILDERS = [path for _, path in interpreters((3, 11))]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files built at once: from two folders, with two umasks, and two Pythons where there are two."""
    started = []
    source = ROOT
    for number, umask in enumerate((0o022, 0o077)):
        folder = tmp_path_factory.mktemp(f"checkout-{'x' * 20 * number}")
        for name in ("appliance", "build"):
            shutil.copytree(source / name, folder / name, ignore=MADE)
        source = folder  # the second is a copy of the first: somebody may be editing the original
        (folder / ".work").mkdir()
        (folder / ".work" / "tools").symlink_to(ROOT / ".work" / "tools")  # the trees are made anew in each
        builder = BUILDERS[-number]
        command: list[str | Path] = [builder, folder / "build" / "make.py", "pyz"]
        env = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_", "HOME"))}
        env["UV_CACHE_DIR"] = str(ROOT / ".work" / "cache")
        started.append((folder, launch(command, umask=umask, cwd=folder, **env)))
    for _, process in started:
        code, out, err = finish(process)
        assert code == 0, out + err
    return [folder / "dist" / "ocs.pyz" for folder, _ in started]


def test_two_builds_of_the_same_sources_are_the_same_bytes(copies: list[Path]) -> None:
    first, second = copies
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o777 == second.stat().st_mode & 0o777 == 0o755


def test_nothing_of_the_building_machine_is_in_the_file(copies: list[Path]) -> None:
    folders = (copies[0].parents[1], copies[1].parents[1], ROOT / ".work")
    traces = [str(folder).encode() for folder in folders]
    with zipfile.ZipFile(copies[0]) as archive:
        for entry in archive.infolist():
            content = archive.read(entry)
            assert not any(trace in content for trace in traces), entry.filename
            assert (entry.date_time, entry.external_attr >> 16) == ((1980, 1, 1, 0, 0, 0), 0o100644), entry.filename


def test_the_file_holds_every_source_and_every_python_and_no_ballast(copies: list[Path]) -> None:
    with zipfile.ZipFile(copies[0]) as archive:
        names = set(archive.namelist())
    kinds = ("py", "sql", "html", "css", "js", "svg", "mo")
    sources = {path for kind in kinds for path in (ROOT / "appliance").rglob(f"*.{kind}")}
    assert {f"site-packages/{path.relative_to(ROOT).as_posix()}" for path in sources} <= names
    theirs = {
        name.rpartition("/")[2] for name in names if name.startswith("site-packages/appliance/web/static/vendor/")
    }
    assert theirs == {"bootstrap.min.css", "bootstrap.bundle.min.js", "htmx.min.js", "icons.svg", "licences.txt"}
    for version in ("311", "312", "313", "314"):
        assert f"site-packages/aiohttp/_http_parser.cpython-{version}-x86_64-linux-gnu.so" in names
    assert any(re.search(r"/cryptography-.*\.dist-info/.*LICENSE", name) for name in names)
    ballast = re.compile(r"(/tests/|/bin/|__pycache__|/RECORD$|direct_url|\.(pyi|pyx|pxd|c|h|pth|pyc|po)$)")
    assert [name for name in names if ballast.search(name)] == []


def test_locks_name_no_host_and_agree_with_the_project_and_its_decision() -> None:
    folder = ROOT / "build" / "requirements"
    for path in folder.iterdir():
        text = path.read_text()
        assert "://" not in text, path.name
        assert "index-url" not in text, path.name
        if path.suffix == ".txt":
            packages = re.findall(r"^[a-z][^\n]*==", text, re.M)
            assert packages, path.name
            assert len(packages) <= text.count("--hash=sha256:"), path.name
    wanted = [line for line in (folder / "runtime.in").read_text().splitlines() if not line.startswith("#")]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"] == wanted
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    carried = re.findall(r"^([a-z][a-z0-9-]*)==", (folder / "runtime.txt").read_text(), re.M)
    assert [name for name in carried if not re.search(rf"\b{name}\b", reasons)] == []


def test_the_builds_own_python_is_refused_before_it_throws_itself_away() -> None:
    code, out, err = finish(launch([sys.executable, ROOT / "build" / "make.py", "words"], cwd=ROOT))
    assert (code, out) == (1, "")
    assert "run it with the Python of the machine" in err
