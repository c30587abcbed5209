"""Another account of the same computer does what it can against the agent. Source: security.md A29, A30, A32, A33; R33.

The racer is a real process of an account without any right, which tries all the time while the agent deploys.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.agent import basedir, dial
from appliance.agent.driver import run_once
from appliance.agent.failure import Unusable
from appliance.agent.files import Files
from appliance.agent.perform import LocalHost
from appliance.agent.settings import read_config
from appliance.domain.package import Action
from tests.agent.evil import Authority
from tests.agent.kit import Lab, package, zip_of

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can start a process for another account"
)
NEIGHBOUR = 54321


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="ocs-neighbour-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Neighbour:
    """A process of another account that tries to put its own things in the place of the agent's, until it is ended."""

    def __init__(self, folder: Path, packages: list[str]) -> None:
        read, write = os.pipe()
        self.read = read
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            os.setgroups([])
            os.setgid(NEIGHBOUR)
            os.setuid(NEIGHBOUR)
            spool = folder / "spool"
            inner = ["journal", "info", "manifest", "work", "work/run.sh", "output"]
            targets = [
                folder,
                folder / "cacert.pem",
                folder / "agent.cfg",
                folder / "lock",
                spool,
                spool / "state.json",
            ]
            targets += [spool / one for one in packages]
            targets += [spool / one / name for one in packages for name in [*inner, f"{one}-1", f"{one}-1.part"]]
            tries = 0
            while True:
                for target in targets:
                    tries += 1
                    if attack(target, folder.parent / "mine"):
                        os.write(write, f"{target}\n".encode())
                if tries % 1000 < len(targets):
                    with contextlib.suppress(OSError):
                        (folder.parent / "tries").write_text(str(tries))
        os.close(write)

    def end(self) -> str:
        """What it got done."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        done = b""
        while block := os.read(self.read, 4096):
            done += block
        os.close(self.read)
        return done.decode()


def attack(target: Path, mine: Path) -> bool:
    """Every way to change what lies there, or to look into it; whether one of them worked."""
    ways = (
        lambda: os.open(target, os.O_WRONLY | os.O_APPEND),
        lambda: os.open(target, os.O_RDONLY | os.O_DIRECTORY if target.is_dir() else os.O_RDONLY),
        lambda: os.rename(mine, target),
        lambda: os.rename(target, mine.with_name("taken")),
        lambda: os.symlink("/etc/passwd", target.with_name(target.name + "x")),
        lambda: os.unlink(target),
        lambda: os.link(target, mine.with_name("linked")),
        lambda: os.chmod(target, 0o777),
    )
    for way in ways:
        with contextlib.suppress(OSError):
            way()
            return True
    return False


def test_a_racer_of_another_account_never_gets_at_anything_of_the_agents(common: Path) -> None:
    (common / "mine").mkdir()
    (common / "mine" / "run.sh").write_text("#!/bin/sh\ntouch /tmp/hijacked\n")
    (common / "tries").touch()
    for path in (common / "mine", common / "tries"):
        os.chown(path, NEIGHBOUR, NEIGHBOUR)
    folder = basedir.prepare(common / "agent")
    lab = Lab(folder)
    lab.host = LocalHost(install_path=folder, server="", outer=os.environ, files=lab.files)
    script = f"#!/bin/sh\necho ran >> {shlex.quote(str(common / 'ran'))}\n".encode()
    built = [
        package(n, action=Action.LAUNCH, argument="run.sh", data=zip_of({"run.sh": script, "x": os.urandom(5000)}))
        for n in range(1, 41)
    ]
    neighbour = Neighbour(folder, [one.id for one in built])
    try:
        for one in built:
            lab.server.add(one)
            assert run_once(lab.start())
        until = time.monotonic() + 20
        while int((common / "tries").read_text() or 0) < 10_000 and time.monotonic() < until:
            lab.start()
    finally:
        done = neighbour.end()
    assert done == ""
    assert int((common / "tries").read_text()) >= 10_000
    assert set(lab.results().values()) == {"SUCCESS"}
    assert (common / "ran").read_text() == "ran\n" * len(built)
    assert lab.leftovers() == []


@pytest.mark.parametrize("name", ["lock", "spool"])
def test_a_link_in_the_place_of_the_agents_own_is_not_followed(common: Path, name: str) -> None:
    victim = common / "victim"
    victim.mkdir() if name == "spool" else victim.write_text("dear")
    folder = basedir.prepare(common / "agent")
    (folder / name).symlink_to(victim)
    begin = basedir.lock if name == "lock" else lambda folder: Lab(folder).start()
    with pytest.raises(OSError):
        begin(folder)
    assert list(victim.iterdir()) == [] if name == "spool" else victim.read_text() == "dear"


@pytest.mark.parametrize("name", ["journal", "1700000001-1.part", "1700000001-1"])
def test_a_link_in_a_packages_folder_is_neither_read_nor_written_through(common: Path, name: str) -> None:
    # only root could put it there; should a restored backup or a mistake do so, it still leads nowhere
    victim = common / "victim"
    victim.write_bytes(b"dear")
    lab = Lab(basedir.prepare(common / "agent"))
    one = package(data=b"abcdef", fragment_size=3)
    world = lab.take_in(one)
    path = world.spool.folder / one.id / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    with contextlib.suppress(OSError):
        run_once(lab.start())
    assert victim.read_bytes() == b"dear"


def test_the_log_and_files_that_are_kept_are_the_owners_alone(common: Path) -> None:
    before = os.umask(0)
    try:
        lab = Lab(basedir.prepare(common / "agent"))
        one = package(data=b"abc")
        lab.server.deaf = True
        lab.server.add(one)
        run_once(lab.start())
        Files().keep(lab.folder / "kept", b"x")
    finally:
        os.umask(before)
    for path in (lab.folder, *lab.folder.rglob("*")):
        assert path.lstat().st_mode & 0o077 == 0, path


def test_a_config_that_another_account_may_write_or_owns_is_refused(common: Path) -> None:
    config = common / "agent.cfg"
    config.write_text("server = ocs.example.org\n")
    config.chmod(0o666)
    with pytest.raises(Unusable, match="written by others"):
        read_config(config)
    config.chmod(0o600)
    os.chown(config, NEIGHBOUR, NEIGHBOUR)
    with pytest.raises(Unusable, match="another"):
        read_config(config)


def test_a_bundle_that_another_account_may_write_or_owns_verifies_nothing(common: Path) -> None:
    bundle = Authority(common, "ours").bundle
    bundle.chmod(0o644)
    assert dial.context_of(bundle) is not None
    bundle.chmod(0o666)
    assert dial.context_of(bundle) is None
    bundle.chmod(0o644)
    os.chown(bundle, NEIGHBOUR, NEIGHBOUR)
    assert dial.context_of(bundle) is None
