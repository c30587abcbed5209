"""The agent-only file: the same words and the same agent as in ocs.pyz, on every Python, and carried by ocs.pyz."""

from __future__ import annotations

import io
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.processes import finish, launch, must_start
from tests.pythons import interpreters
from tests.whole.site import site

ROOT = Path(__file__).resolve().parents[2]
CARRIED = "site-packages/appliance/carried/ocs-agent.pyz"
PYTHONS = interpreters()
BUILDERS = interpreters((3, 11))
MOST = 512 * 1024  # bytes: a few hundred KB

each_python = pytest.mark.parametrize(
    "python", [path for _, path in PYTHONS], ids=[".".join(map(str, v)) for v, _ in PYTHONS]
)
# Packs the agent from sources, without the libraries and tools that the whole file needs
PACK = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import bundle
sources = Path(sys.argv[2])
bundle.copy_sources(sources / "appliance")
bundle.agent_file(sources, Path(sys.argv[3]))
"""


@pytest.fixture(scope="session")
def agent(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent-only file, as the server takes it out of its own."""
    with zipfile.ZipFile(pyz) as archive:
        content = archive.read(CARRIED)
    file = tmp_path_factory.mktemp("fetched") / "ocs-agent.pyz"
    file.write_bytes(content)
    return file


def test_the_file_in_dist_is_the_one_that_the_server_offers(pyz: Path, agent: Path) -> None:
    assert (pyz.parent / "ocs-agent.pyz").read_bytes() == agent.read_bytes()
    assert (pyz.parent / "ocs-agent.pyz").stat().st_mode & 0o777 == 0o755
    assert agent.stat().st_size <= MOST


def test_it_holds_the_agent_of_the_whole_file_and_nothing_of_the_server(pyz: Path, agent: Path) -> None:
    with zipfile.ZipFile(pyz) as whole, zipfile.ZipFile(agent) as alone:
        names = alone.namelist()
        assert [name for name in names if whole.read(name) != alone.read(name)] == []
        every = [(entry.date_time, entry.external_attr >> 16, entry.create_system) for entry in alone.infolist()]
    rooms = {name.split("/")[2].removesuffix(".py") for name in names if name.startswith("site-packages/")}
    assert rooms == {"__init__", "__main__", "clock", "disk", "domain", "wire", "agent"}
    assert {name for name in names if not name.startswith("site-packages/appliance/")} == {"__main__.py"}
    assert names == sorted(names)
    assert set(every) == {((1980, 1, 1, 0, 0, 0), 0o100644, 3)}


def test_two_builds_are_the_same_bytes_whatever_the_umask_the_folder_and_the_python(tmp_path: Path) -> None:
    made = []
    for number, umask in enumerate((0o022, 0o077)):
        folder = tmp_path / ("x" * 20 * number or "a")
        folder.mkdir()
        command: list[str | Path] = [BUILDERS[-number][1], "-B", "-c", PACK, ROOT / "build", folder, folder / "a.pyz"]
        code, _, err = finish(launch(command, umask=umask, cwd=folder))
        assert code == 0, err
        made.append((folder / "a.pyz").read_bytes())
        with zipfile.ZipFile(io.BytesIO(made[-1])) as archive:
            assert not [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)]
    assert made[0] == made[1]


@each_python
def test_it_runs_on_every_python_without_unpacking_and_with_the_librarys_modules_only(
    agent: Path, python: str, tmp_path: Path
) -> None:
    command: list[str | Path] = [python, "-I", "-S", "-X", "importtime", agent, "agent", "--version"]
    code, out, err = finish(launch(command, cwd=tmp_path, HOME=str(tmp_path), TMPDIR=str(tmp_path)))
    imported = {line.split("|")[-1].strip() for line in err.splitlines() if line.startswith("import time:")}
    assert (code, out.startswith("ocs.pyz ")) == (0, True), err[-2000:]
    assert {"appliance.agent.main", "appliance.wire.contact", "appliance.domain.package"} <= imported
    assert not {name for name in imported if name.split(".")[0] in ("aiohttp", "cryptography", "site", "_bootstrap")}
    assert os.listdir(tmp_path) == []


@each_python
def test_every_module_of_it_can_be_imported(agent: Path, python: str) -> None:
    # what is wired in later is imported at start: it must not fail there
    with zipfile.ZipFile(agent) as archive:
        modules = [
            re.sub(r"(/__init__)?\.py$", "", name.removeprefix("site-packages/")).replace("/", ".")
            for name in archive.namelist()
            if name.startswith("site-packages/appliance/") and name.endswith(".py")
        ]
    script = "import sys; sys.path[0:0] = [sys.argv[1]]\nfor name in sys.argv[2:]: __import__(name)\nprint('all')"
    command = [python, "-I", "-S", "-W", "error", "-c", script, f"{agent}/site-packages", *modules]
    assert must_start(command) == "all\n"


@pytest.mark.parametrize("python", [PYTHONS[0][1], PYTHONS[-1][1]], ids=["oldest", "newest"])
def test_it_speaks_the_same_words_as_the_whole_file(agent: Path, pyz: Path, python: str, tmp_path: Path) -> None:
    none = ["--basedir", str(tmp_path / "none")]
    for words in (["agent", "--help"], ["agent", "status", *none], ["agent", "--once", *none]):
        first, second = (finish(launch([python, file, *words])) for file in (agent, pyz))
        assert first == second, words
    document = json.loads(must_start([python, agent, "agent", "status", "--json", "--basedir", tmp_path]))
    assert document["spool"] == []


@each_python
def test_other_words_are_told_that_this_is_the_agent_alone(agent: Path, python: str) -> None:
    for words in ([], ["serve"], ["demo"], ["--nonsense"]):
        code, out, err = finish(launch([python, agent, *words]))
        assert (code, out, err.count("\n")) == (2, "", 1), words
        assert "holds the agent alone" in err
    assert "ocs-agent.pyz agent --help" in must_start([python, agent, "--help"])
    assert must_start([python, agent, "--version"]).startswith("ocs.pyz ")


def test_an_older_python_is_told_what_it_lacks(agent: Path) -> None:
    for _, python in interpreters((3, 0), (3, 8)):
        code, _, err = finish(launch([python, agent, "agent"]))
        assert (code, err.count("\n")) == (1, 1)
        assert "needs Python 3.9" in err


def test_no_variable_of_the_caller_has_a_say(agent: Path, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "appliance").mkdir()
    (tmp_path / "appliance" / "__init__.py").write_text("raise SystemExit('hijacked')")
    env = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "/nowhere", "SHIV_ROOT": str(tmp_path)}
    for word in ("--version", "--help"):
        assert "hijacked" not in must_start([sys.executable, agent, "agent", word], cwd=tmp_path, **env)


def test_the_file_updates_itself_from_the_package_that_a_server_sends(agent: Path, tmp_path: Path) -> None:
    # the whole file is swapped in for the agent alone, by the agent's own code out of its archive
    script = (
        "import sys; sys.path.insert(0, sys.argv[1] + '/site-packages')\n"
        "from pathlib import Path\n"
        "from appliance.agent import update\n"
        "assert update.running_file() == Path(sys.argv[1])\n"
        "print(update.swap(Path(sys.argv[2]), Path(sys.argv[1])))\n"
    )
    installed, new = tmp_path / "ocs.pyz", tmp_path / "new.pyz"
    installed.write_bytes(agent.read_bytes())
    with zipfile.ZipFile(agent) as old, zipfile.ZipFile(new, "w") as other:
        for name in old.namelist():
            content = old.read(name)
            if name == "site-packages/appliance/__init__.py":
                content = re.sub(rb'__version__ = ".*"', b'__version__ = "99.1"', content)
            other.writestr(name, content)
    done = subprocess.run(
        [PYTHONS[0][1], "-I", "-S", "-c", script, installed, new], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("99.1\n", "")
    assert must_start([PYTHONS[0][1], installed, "agent", "--version"]) == "ocs.pyz 99.1\n"
    assert must_start([PYTHONS[0][1], tmp_path / "ocs.pyz.old", "agent", "--version"]) != "ocs.pyz 99.1\n"


def test_the_server_offers_it_over_tls_only(pyz: Path, agent: Path, tmp_path: Path) -> None:
    with site(pyz, tmp_path) as here:
        trust = ssl.create_default_context(cafile=str(here.bundle))
        for name, expected in (("ocs-agent.pyz", agent), ("ocs.pyz", pyz)):
            secure = here.https.replace("/ocsinventory", f"/{name}")
            with urllib.request.urlopen(secure, context=trust, timeout=30) as answer:
                assert answer.read() == expected.read_bytes()
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(here.http.replace("/ocsinventory", f"/{name}"), timeout=30)
