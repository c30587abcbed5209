"""The agent as a process, straight from an archive, on every Python at hand, against a small real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from appliance import __version__
from appliance.domain.package import Action
from appliance.wire import envelope
from tests.agent.evil import Authority, Handler, Site, serving
from tests.agent.kit import Built, FakeServer, package, tar_of
from tests.pythons import interpreters

APPLIANCE = Path(__file__).parent.parent.parent / "appliance"
PORTABLE = ("__init__.py", "__main__.py", "clock.py", "disk.py", "agent", "domain", "wire")
PYTHONS = [(".".join(map(str, version)), path) for version, path in interpreters()]
every_python = pytest.mark.parametrize("python", [path for _, path in PYTHONS], ids=[name for name, _ in PYTHONS])

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and shells as on Unix")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as an archive, as it lies in ocs.pyz: nothing of it is ever unpacked."""
    path = tmp_path_factory.mktemp("archive") / "agent.pyz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in PORTABLE:
            for source in [APPLIANCE / name] if name.endswith(".py") else sorted((APPLIANCE / name).rglob("*.py")):
                file.write(source, Path("appliance", source.relative_to(APPLIANCE)))
        file.writestr("__main__.py", "import sys\nfrom appliance.__main__ import main\nsys.exit(main())\n")
    return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


class Toy:
    """A server over HTTP and TLS that answers as the fake one does."""

    def __init__(self, authority: Authority, http: Site, https: Site) -> None:
        self.authority = authority
        self.http, self.https = http, https
        self.story: list[object] = []
        self.fake = FakeServer(self.story)
        self.fake.inventory_wanted = True
        self.served: list[str] = []
        self.on_fragment: Callable[[Handler, str, bytes], None] = lambda request, _, data: request.ranged(data)
        self.http.answers["/ocsinventory"] = self._contact

    @property
    def url(self) -> str:
        return f"http://{self.http.address}/ocsinventory"

    def _contact(self, request: Handler) -> None:
        xml, _ = envelope.unpack(request.site.requests[-1][3], 1 << 25)
        answer = self.fake.contact(xml)
        request.reply(200, envelope.pack(answer) if answer else b"")

    def add(self, built: Built) -> Built:
        folder = f"/download/{built.id}"
        self.https.answers[f"{folder}/info"] = built.raw_info
        if built.raw_manifest is not None:
            self.https.answers[f"{folder}/manifest"] = built.raw_manifest
        for number, data in enumerate(built.fragments, 1):
            self.http.answers[f"{folder}/{built.id}-{number}"] = self._fragment(f"{built.id}-{number}", data)
        built.pack = type(built.pack)(
            built.id,
            f"{self.https.address}/download",
            f"{self.http.address}/download",
        )
        self.fake.add(built)
        return built

    def _fragment(self, name: str, data: bytes) -> Callable[[Handler], None]:
        def answer(request: Handler) -> None:
            self.served.append(name)
            self.on_fragment(request, name, data)

        return answer


@pytest.fixture
def toy(authority: Authority) -> Iterator[Toy]:
    with serving() as http, serving(authority.context()) as https:
        yield Toy(authority, http, https)


class Agent:
    """One computer's agent."""

    def __init__(self, python: str, archive: Path, folder: Path, toy: Toy) -> None:
        self.command = [python, "-I", "-S", str(archive), "agent"]
        self.folder = folder
        self.toy = toy

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    @property
    def once(self) -> list[str]:
        bundle = str(self.toy.authority.bundle)
        return ["--once", "--server", self.toy.url, "--ca", bundle, "--basedir", str(self.folder)]


@pytest.fixture
def agent(archive: Path, tmp_path: Path, toy: Toy) -> Agent:
    return Agent(sys.executable, archive, tmp_path / "agent", toy)


def three(toy: Toy, tmp: Path) -> tuple[Built, Built, Built]:
    script = b"#!/bin/sh\necho launched $1; exit 3\n"
    files = {"setup.sh": script, "data": os.urandom(5000)}
    return (
        toy.add(package(1, action=Action.STORE, argument=f"{tmp}/stored", data=tar_of(files), fragment_size=3000)),
        toy.add(package(2, action=Action.LAUNCH, argument="setup.sh it", data=tar_of(files))),
        toy.add(package(3, action=Action.EXECUTE, argument=f"echo $OCS_PACKAGE_ID > {tmp}/mark")),
    )


@every_python
def test_it_deploys_all_three_actions(python: str, archive: Path, tmp_path: Path, toy: Toy) -> None:
    store, launch, execute = three(toy, tmp_path)
    agent = Agent(python, archive, tmp_path / "agent", toy)
    code, out, err = agent.run(*agent.once)
    assert (code, out) == (0, ""), err
    assert dict(toy.fake.codes) == {launch.id: "ERR_EXIT_CODE_3", store.id: "SUCCESS", execute.id: "SUCCESS"}
    assert len(toy.fake.codes) == 3
    assert (tmp_path / "mark").read_text() == f"{execute.id}\n"
    assert (tmp_path / "stored/setup.sh").read_bytes().startswith(b"#!/bin/sh\necho launched")
    inventory = toy.fake.inventories[0]
    assert inventory.first("HARDWARE")["NAME"]
    assert "Traceback" not in err
    code, out, err = agent.run("status", "--basedir", str(agent.folder), "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["spool"] == []
    assert {one["package"]: one["status"] for one in document["results"]} == dict(toy.fake.codes)
    assert {one["package"]: one["output"] for one in document["results"]}[launch.id] == "launched it\n"
    assert set(document["installed"]) == {store.id, execute.id}
    code, out, err = agent.run("status", "--basedir", str(agent.folder))
    assert (code, err) == (0, "")
    assert "ERR_EXIT_CODE_3" in out


@every_python
def test_after_kill_9_in_mid_download_only_what_is_missing_is_fetched(
    python: str, archive: Path, tmp_path: Path, toy: Toy
) -> None:
    data = tar_of({"data": os.urandom(40_000)})
    built = toy.add(package(action=Action.STORE, argument=f"{tmp_path}/stored", data=data, fragment_size=4000))
    agent = Agent(python, archive, tmp_path / "agent", toy)
    process = agent.start(*agent.once)

    def deadly(request: Handler, name: str, content: bytes) -> None:
        if name.endswith("-5") and process.poll() is None:
            request.send_response(200)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content[:2000])
            request.wfile.flush()
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            request.close_connection = True
        else:
            request.ranged(content)

    toy.on_fragment = deadly
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, _, err = agent.run(*agent.once)
    assert code == 0, err
    assert toy.fake.codes == [(built.id, "SUCCESS")]
    expected = [f"{built.id}-{number}" for number in range(1, len(built.fragments) + 1)]
    assert sorted(toy.served) == sorted([*expected, f"{built.id}-5"])


def test_a_second_agent_says_that_one_is_at_work_and_leaves(agent: Agent, toy: Toy, tmp_path: Path) -> None:
    toy.add(package(action=Action.STORE, argument=f"{tmp_path}/stored", data=tar_of({"x": b""})))
    arrived, go_on = threading.Event(), threading.Event()

    def waits(request: Handler, name: str, content: bytes) -> None:
        arrived.set()
        go_on.wait(30)
        request.ranged(content)

    toy.on_fragment = waits
    first = agent.start(*agent.once)
    assert arrived.wait(30)
    code, _, err = agent.run(*agent.once)
    assert code == 1
    assert f"(process {first.pid})" in err
    assert err.count("\n") == 1
    code, out, _ = agent.run("status", "--basedir", str(agent.folder))
    assert (code, "running" in out) == (0, True)
    go_on.set()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_an_archive_that_is_replaced_while_the_agent_runs_does_no_harm(archive: Path, tmp_path: Path, toy: Toy) -> None:
    own = tmp_path / "own.pyz"
    own.write_bytes(archive.read_bytes())
    agent = Agent(sys.executable, own, tmp_path / "agent", toy)
    built = toy.add(package(action=Action.LAUNCH, argument="x", data=tar_of({"x": b"#!/bin/sh\nexit 7\n"})))

    def replaces(request: Handler, name: str, content: bytes) -> None:
        own.write_bytes(os.urandom(own.stat().st_size))
        request.ranged(content)

    toy.on_fragment = replaces
    code, _, err = agent.run(*agent.once)
    assert (code, toy.fake.codes) == (0, [(built.id, "ERR_EXIT_CODE_7")]), err


def test_without_a_bundle_nothing_is_deployed_and_the_server_is_told(agent: Agent, toy: Toy, tmp_path: Path) -> None:
    toy.add(package(argument=f"touch {tmp_path}/mark"))
    code, _, err = agent.run("--once", "--server", toy.url, "--basedir", str(agent.folder))
    assert code == 0
    assert "without it nothing is deployed" in err
    assert [code for _, code in toy.fake.codes] == ["ERR_DOWNLOAD_INFO"]
    assert not (tmp_path / "mark").exists()


def test_the_bundle_in_the_base_directory_is_found(agent: Agent, toy: Toy) -> None:
    toy.add(package())
    agent.folder.mkdir(mode=0o700)
    (agent.folder / "cacert.pem").write_bytes(toy.authority.bundle.read_bytes())
    (agent.folder / "agent.cfg").write_text(f"server = {toy.url}\n")
    assert agent.run("--once", "--basedir", str(agent.folder))[0] == 0
    assert [code for _, code in toy.fake.codes] == ["SUCCESS"]


def test_a_contact_that_fails_is_exit_code_one(agent: Agent, toy: Toy) -> None:
    toy.http.answers["/ocsinventory"] = lambda request: request.reply(500, b"")
    code, _, err = agent.run(*agent.once)
    assert code == 1
    assert "answers 500" in err


@every_python
def test_the_words_that_contact_nobody(python: str, archive: Path, tmp_path: Path, toy: Toy) -> None:
    agent = Agent(python, archive, tmp_path / "agent", toy)
    assert agent.run("--version")[:2] == (0, f"ocs.pyz {__version__}\n")
    code, out, _ = agent.run("--help")
    assert (code, "--force-inventory" in out) == (0, True)
    assert agent.run("--bogus")[0] == 2
    code, _, err = agent.run("--once", "--basedir", str(agent.folder))
    assert code == 1
    assert "--server" in err
    code, out, err = agent.run("--local", "--basedir", str(agent.folder))
    assert (code, err) == (0, "")
    assert ElementTree.fromstring(out.encode()).findtext("QUERY") == "INVENTORY"
    assert not agent.folder.exists()
    code, _, err = agent.run("status", "--basedir", str(agent.folder))
    assert (code, "no agent ran here" in err) == (1, True)


def test_the_log_goes_to_its_file_without_any_secret(agent: Agent, toy: Toy, tmp_path: Path) -> None:
    agent.folder.mkdir(mode=0o700)
    config = agent.folder / "agent.cfg"
    config.write_text("user = me\npassword = hunter2\n")
    config.chmod(0o600)
    code, out, err = agent.run(*agent.once, "--logfile", str(tmp_path / "log"), "--debug")
    assert (code, out, err) == (0, "", "")
    text = (tmp_path / "log").read_text()
    assert "The contact is done" in text
    assert "hunter2" not in text
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_install_and_uninstall_say_what_they_would_do(agent: Agent, toy: Toy) -> None:
    code, out, err = agent.run("install", "--dry-run", "--server", toy.url, "--basedir", str(agent.folder))
    assert (code, err) == (0, ""), err
    assert f"server = {toy.url}" in out
    code, out, err = agent.run("uninstall", "--dry-run", "--basedir", str(agent.folder))
    assert (code, err, "remove" in out) == (0, "", True)
    assert agent.run("install", "--dry-run", "--basedir", str(agent.folder))[0] == 1  # no server is named
    assert not agent.folder.exists()


def test_a_daemon_becomes_the_file_that_a_package_brought_and_confirms_it(
    archive: Path, tmp_path: Path, toy: Toy
) -> None:
    own, folder = tmp_path / "ocs.pyz", tmp_path / "agent"
    own.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tmp_path / "new.pyz", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            source = old.read(name)
            if name == "appliance/__init__.py":
                source = source.replace(__version__.encode(), b"9.9.9")
            new.writestr(name, source)
    data = tar_of({"ocs.pyz": (tmp_path / "new.pyz").read_bytes()})
    toy.add(package(action=Action.STORE, argument="INSTALL_PATH/update", data=data, fragment_size=50_000))
    agent = Agent(sys.executable, own, folder, toy)
    words = [word for word in agent.once if word != "--once"]
    process = agent.start(*words, "--logfile", str(tmp_path / "log"))
    try:
        until = time.monotonic() + 60
        while toy.story.count("prolog") < 2 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)  # a real process works on real time
        while (tmp_path / "ocs.pyz.trial").exists() and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=30)
    text = (tmp_path / "log").read_text()
    assert [code for _, code in toy.fake.codes] == ["SUCCESS"], text
    assert "Version 9.9.9 is in place and on trial" in text
    assert own.read_bytes() == (tmp_path / "new.pyz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "log", "new.pyz", "ocs.pyz"]
    code, out, _ = agent.run("--version")
    assert (code, out) == (0, "ocs.pyz 9.9.9\n")
