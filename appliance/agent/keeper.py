"""A command's end, known although the agent is killed while it runs. Source: security.md 3.3, F8.

On Unix a copy of the agent, in a session of its own, runs the command, keeps its time limit and writes down how it
ended. The copy holds a lock on a file for as long as it lives: an agent that is started anew waits for it, and then
reads what is known for sure. Where the copy is killed too, or the computer goes down, nothing is: ERR_DONE_FAILED.

    <package>/keeper   locked by the copy while it lives
    <package>/end      {"code": 3, "fault": ""}

Windows has no such copy: there the agent itself watches.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from appliance import disk
from appliance.agent.files import NO_FOLLOW
from appliance.agent.process import Run, adopt_orphans, run
from appliance.clock import Clock

if sys.platform != "win32":
    import fcntl
    import signal

LOCK = "keeper"
END = "end"
POLL = 0.2  # seconds
LONGEST_REPORT = 4096  # bytes

_CLOCK = Clock()  # commands run in real time, also where a test's agent does not


@dataclass(frozen=True)
class Kept:
    """How a command ended: its exit code, negative for a signal, None where it was ended because it took too long.

    `fault`: why it could not be started. `known`: False where nobody can tell whether and how it ended.
    """

    code: int | None = None
    fault: str = ""
    known: bool = True


def keep(job: Run, folder: Path, started: Callable[[int], None]) -> Kept:
    """Run it to its end; what is kept of it is kept in `folder`. `started` gets the command's process id.

    OSError: not even the copy could be made, so the command did not start.
    """
    if sys.platform == "win32":
        return _watched(job, started)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder / END)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o600)
    reader = writer = -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before there is a copy, which inherits it
        reader, writer = os.pipe()
        child = _fork()
        if child == 0:
            _live(job, folder, writer, lock)
        os.close(writer)
        writer = -1
        kept = _heard(reader, started)
        _collect(child)
        return kept
    finally:
        for descriptor in (lock, reader, writer):
            if descriptor >= 0:
                os.close(descriptor)


def outcome(folder: Path, seconds: float) -> Kept | None:
    """How a command ended that an earlier run of the agent started; None where that is not known.

    A command that still runs is waited for, so many seconds at most; its copy of the agent ends it in time.
    """
    if sys.platform == "win32":
        return None
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | NO_FOLLOW)
    except OSError:
        return None
    try:
        until = _CLOCK.monotonic() + seconds
        while not _is_free(lock):
            if _CLOCK.monotonic() >= until:
                return None
            _CLOCK.rest(POLL)
    finally:
        os.close(lock)
    try:
        return _read((folder / END).read_bytes())
    except OSError:
        return None


def _fork() -> int:
    if sys.platform == "win32":
        raise OSError("there is no fork")
    return os.fork()


def _live(job: Run, folder: Path, writer: int, lock: int) -> None:
    """The copy's life. Never returns, whatever happens: it must not become a second agent."""
    if sys.platform == "win32":
        return
    try:
        os.setsid()
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN if signum == signal.SIGINT else signal.SIG_DFL)
        gc.disable()  # nothing of the agent's is closed here: its numbers may stand for other files by then
        _detach({writer, lock})
        adopt_orphans()
        kept = _watched(job, lambda pid: _say(writer, {"pid": pid}))
        report = json.dumps(asdict(kept)).encode()
        with contextlib.suppress(OSError):
            disk.keep(folder / END, report)
        _say(writer, asdict(kept))
        os._exit(0)
    finally:
        os._exit(1)


def _watched(job: Run, started: Callable[[int], None]) -> Kept:
    try:
        return Kept(run(job, started).code)
    except OSError as error:
        return Kept(fault=error.strerror or str(error))


def _detach(kept: set[int]) -> None:
    """Let go of the agent's files, sockets and locks. Each number stays taken, so that none gets another meaning."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        numbers = list(range(256))
    for number in sorted({0, 1, 2, *numbers} - kept - {nothing}):
        with contextlib.suppress(OSError):
            if number > 2:
                os.fstat(number)
            os.dup2(nothing, number, inheritable=False)


def _say(writer: int, words: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # the agent is gone
        os.write(writer, json.dumps(words).encode() + b"\n")


def _heard(reader: int, started: Callable[[int], None]) -> Kept:
    """What the copy says, to its end. A copy that ends without a word has left the outcome unknown."""
    data = b""
    kept = Kept(known=False)
    while piece := os.read(reader, LONGEST_REPORT):
        data += piece
        while b"\n" in data:
            line, _, data = data.partition(b"\n")
            words = json.loads(line)
            if "pid" in words:
                started(words["pid"])
            else:
                kept = Kept(**words)
    return kept


def _collect(child: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _is_free(lock: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _read(data: bytes) -> Kept | None:
    try:
        return Kept(**json.loads(data[:LONGEST_REPORT]))
    except (ValueError, TypeError):
        return None
