"""A command's end is known although the agent is killed: real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.agent import keeper, process
from appliance.agent.driver import run_once
from appliance.agent.keeper import END, LOCK, Kept
from appliance.agent.perform import LocalHost
from appliance.agent.process import Run
from appliance.agent.record import Phase
from tests.agent.kit import Lab, package

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no fork")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def job(folder: Path, command: str, seconds: float = 30) -> Run:
    return Run(["/bin/sh", "-c", command], folder, {"PATH": os.environ["PATH"]}, seconds, folder / "output", False)


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def pids_below(pid: int) -> set[int]:
    """Children of a process that still run."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        state = process._state(int(name))
        if state is not None and state[1] and state[2] == pid:
            found.add(int(name))
    return found


class Killed:
    """An agent in a process of its own that runs one command, and is killed while it does."""

    def __init__(self, folder: Path, command: str, seconds: float = 30) -> None:
        self.folder = folder
        ready, go = os.pipe()
        self.agent = os.fork()
        if self.agent == 0:
            try:
                keeper.keep(job(folder, command, seconds), folder, lambda pid: os.write(go, b"%d\n" % pid) and None)
            finally:
                os._exit(0)
        self.command = int(os.read(ready, 20))
        [self.copy] = pids_below(self.agent)
        os.close(ready)
        os.close(go)

    def kill(self) -> None:
        os.kill(self.agent, signal.SIGKILL)
        os.waitpid(self.agent, 0)


def test_the_exit_code_comes_through_exactly(tmp_path: Path) -> None:
    pids: list[int] = []
    assert keeper.keep(job(tmp_path, "echo hello; exit 3"), tmp_path, pids.append) == Kept(3)
    assert len(pids) == 1
    assert (tmp_path / "output").read_bytes() == b"hello\n"
    assert keeper.keep(job(tmp_path, "kill -9 $$"), tmp_path, pids.append) == Kept(-9)
    assert keeper.keep(job(tmp_path, "sleep 9", 0.01), tmp_path, pids.append) == Kept(None)


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    missing = Run(["/no/such"], tmp_path, {}, 1, tmp_path / "output", False)
    assert keeper.keep(missing, tmp_path, lambda _: None) == Kept(fault="No such file or directory")


def test_an_end_of_an_earlier_command_is_never_taken_for_this_one(tmp_path: Path) -> None:
    keeper.keep(job(tmp_path, "exit 0"), tmp_path, lambda _: None)
    assert keeper.outcome(tmp_path, 1) == Kept(0)
    keeper.keep(job(tmp_path, "exit 5"), tmp_path, lambda _: None)
    assert keeper.outcome(tmp_path, 1) == Kept(5)


@linux
def test_an_agent_that_is_killed_loses_no_exit_code(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    run = Killed(tmp_path, f"cat {fifo} >/dev/null; exit 7")
    run.kill()
    assert keeper.outcome(tmp_path, 0) is None  # it still runs
    with open(fifo, "w"):
        pass
    assert keeper.outcome(tmp_path, 20) == Kept(7)


@linux
def test_the_time_limit_holds_though_the_agent_is_dead(tmp_path: Path) -> None:
    run = Killed(tmp_path, "sleep 60", 0.5)
    run.kill()
    assert keeper.outcome(tmp_path, 20) == Kept(None)
    assert process._state(run.command) is None or not process._state(run.command)[1]  # type: ignore[index]


@linux
def test_where_the_copy_is_killed_too_nothing_is_known(tmp_path: Path) -> None:
    run = Killed(tmp_path, "sleep 60")
    os.kill(run.copy, signal.SIGKILL)
    os.waitpid(run.agent, 0)  # the agent notices, and ends
    assert keeper.outcome(tmp_path, 5) is None
    os.kill(run.command, signal.SIGKILL)


@linux
def test_the_copy_holds_nothing_of_the_agents(tmp_path: Path) -> None:
    held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)
    run = Killed(tmp_path, "sleep 60")
    targets = {os.readlink(f"/proc/{run.copy}/fd/{name}") for name in os.listdir(f"/proc/{run.copy}/fd")}
    command = {os.readlink(f"/proc/{run.command}/fd/{name}") for name in os.listdir(f"/proc/{run.command}/fd")}
    run.kill()
    os.kill(run.command, signal.SIGKILL)
    os.close(held)
    assert {name for name in targets if not name.startswith("pipe:")} <= {
        "/dev/null",
        str(tmp_path / LOCK),
        str(tmp_path / "output"),
    }
    assert command == {"/dev/null", str(tmp_path / "output")}


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"no": 1}', b"\xff"])
def test_an_end_that_cannot_be_read_is_not_known(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / LOCK).write_bytes(b"")
    (tmp_path / END).write_bytes(garbage)
    assert keeper.outcome(tmp_path, 1) is None


def test_a_start_takes_the_end_of_a_command_that_outlived_the_agent(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "agent")
    lab.host = LocalHost(install_path=tmp_path, server="", outer=os.environ, files=lab.files)
    one = package(argument="true", done_text="Done")
    world = lab.take_in(one)
    folder = world.spool.folder / one.id
    world.spool.note(one.id, Phase.ARMED, run="mark")
    world.spool.note(one.id, Phase.STARTED, pid=1)
    (folder / LOCK).write_bytes(b"")
    (folder / END).write_text(json.dumps({"code": 3, "fault": "", "known": True}))
    lab.start()
    assert lab.results() == {one.id: "ERR_EXIT_CODE_3"}
    assert ("confirm", "Done") in lab.story
    assert lab.leftovers() == []


def test_without_an_end_what_is_known_is_said(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "agent")
    lab.host = LocalHost(install_path=tmp_path, server="", outer=os.environ, files=lab.files)
    one = package()
    world = lab.take_in(one)
    world.spool.note(one.id, Phase.ARMED, run="mark")
    world.spool.note(one.id, Phase.STARTED, pid=4711)
    run_once(lab.start())
    assert lab.results() == {one.id: "ERR_DONE_FAILED"}
    document = json.loads((lab.folder / f"spool/results/{one.id}.json").read_text())
    assert "as process 4711; the agent was stopped before its end was known" in document["why"]


@linux
def test_a_command_that_takes_too_long_takes_its_detached_grandchildren_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.5)
    # each left the session and lost its parent; two have cleared their environment, one is stubborn as well
    script = f"""
        (setsid sh -c 'sleep 61 & echo $! >> {tmp_path}/pids' &)
        trap '' TERM
        (env -i setsid sh -c 'trap "" TERM; sleep 62 & echo $! >> {tmp_path}/pids; wait' &)
        (setsid env -i sh -c 'sleep 63 & echo $! >> {tmp_path}/pids' &)
        wait; sleep 64
    """
    planned = job(tmp_path, script, 1.0)
    planned = Run(planned.command, tmp_path, {**planned.environment, "OCS_RUN": "m4rk"}, 1.0, planned.output, False)
    assert keeper.keep(planned, tmp_path, lambda _: None) == Kept(None)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    assert [pid for pid in pids if (process._state(pid) or (0, False, 0))[1]] == []
