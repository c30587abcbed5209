"""Running one command to its end: its own group, a clean environment, a time limit, the last of its output.

What the command is and what its end means is perform's business; that its end is known though the agent is killed,
keeper's. Output goes to a file, not through a pipe: a command that outlives the agent must not die of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Union

from appliance.agent.files import BINARY, NO_FOLLOW, open_read
from appliance.clock import Clock

KEPT_OUTPUT = 64 * 1024  # bytes, the last ones
MOST_OUTPUT = 4 * 1024 * 1024  # bytes in the file before its start is thrown away
POLL = 0.2  # seconds
GRACE = 5.0  # seconds between being asked to end and being ended
SHELL = "/bin/sh"
RUN_MARK = "OCS_RUN"  # in the environment: finds those who left the group

_SET_CHILD_SUBREAPER = 36
_adopts = False

_CLOCK = Clock()  # commands run in real time, also where a test's agent does not

Command = Union[list[str], str]  # a string is a Windows command line


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative for a signal; None: it was ended because it took too long."""

    code: int | None
    output: bytes


@dataclass(frozen=True)
class Run:
    """What to run, where, how long it may take; `whole_group`: those it leaves behind are waited for too."""

    command: Command
    folder: Path
    environment: Mapping[str, str]
    seconds: float
    output: Path
    whole_group: bool


def run(job: Run, started: Callable[[int], None]) -> Ended:
    """Run it to its end. `started` gets the process id at once. OSError: it could not be started."""
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | NO_FOLLOW | BINARY
    output = os.open(job.output, flags, 0o600)
    try:
        process = _started(job, output)
        started(process.pid)
        deadline = _CLOCK.monotonic() + job.seconds
        kept = b""
        in_time = False
        while _CLOCK.monotonic() < deadline:
            kept = _bounded(output, job.output, kept)
            if process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(POLL, max(0.0, deadline - _CLOCK.monotonic())))
            elif job.whole_group and _group_lives(process.pid):
                _CLOCK.rest(POLL)
            else:
                in_time = True
                break
        if not in_time:
            end_tree(process, job.environment.get(RUN_MARK, ""))
        kept = (kept + _tail(job.output))[-KEPT_OUTPUT:]
        os.ftruncate(output, 0)
        os.write(output, kept)
        return Ended(process.returncode if in_time else None, kept)
    finally:
        os.close(output)


def _started(job: Run, output: int) -> subprocess.Popen[bytes]:
    """Start it; a script without a `#!` line is given to the shell, as genuine Unix agents do."""
    try:
        return _start(job, output)
    except OSError as error:
        if error.errno != errno.ENOEXEC or isinstance(job.command, str):
            raise
    return _start(replace(job, command=[SHELL, *job.command]), output)


def _start(job: Run, output: int) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        return subprocess.Popen(
            job.command, cwd=job.folder, env=dict(job.environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
        )  # fmt: skip
    return subprocess.Popen(
        job.command, cwd=job.folder, env=dict(job.environment), stdin=subprocess.DEVNULL, stdout=output,
        stderr=output, start_new_session=True, umask=0o022,
    )  # fmt: skip


def end_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a command with all that it started: first asked, then made to."""
    if sys.platform == "win32":
        # taskkill knows the tree; the process object alone would leave its children running
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        process.kill()
        process.wait()
        return
    known: set[int] = set()
    for signum, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        until = _CLOCK.monotonic() + patience
        signalled: set[int] = set()
        while True:
            known = _family(process.pid, mark, known)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if not signalled or known - signalled:
                    os.killpg(process.pid, signum)
            for stray in known - signalled:  # a member that is started meanwhile is met in the next round
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(stray, signum)
            signalled |= known | {process.pid}
            if process.poll() is not None and not _group_lives(process.pid) and not known:
                return
            if _CLOCK.monotonic() >= until:
                break
            _CLOCK.rest(POLL / 10)
    process.wait()


def _family(command: int, mark: str, known: set[int]) -> set[int]:
    """The processes that a command has started and that run now, wherever they went (Linux).

    They carry its mark in their environment, or come from it or from one that does, or were known before. Where this
    process adopts orphans, those without a mark are found as well.
    """
    if not sys.platform.startswith("linux"):
        return set()
    parents: dict[int, int] = {}
    for pid in _processes():
        state = _state(pid)
        if state is not None and state[1]:
            parents[pid] = state[2]
    tops = {command, os.getpid()} if _adopts else {command}
    found = (set(_marked(mark)) | known) & parents.keys()
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found or parent in tops} - found
        found |= more
        grown = bool(more)
    return found - {command}


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own (Linux). For keeper's copy alone."""
    global _adopts
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            _adopts = ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _group_lives(group: int) -> bool:
    """Whether any process of a group is still running; one that ended and that nobody collects does not count."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if not sys.platform.startswith("linux"):
        return True
    return any((_state(pid) or (0, False, 0))[:2] == (group, True) for pid in _processes())


def _marked(mark: str) -> list[int]:
    """Processes that carry a run's mark in their environment, wherever they went (Linux)."""
    if not mark or not sys.platform.startswith("linux"):
        return []
    wanted = f"{RUN_MARK}={mark}".encode()
    found = []
    for pid in _processes():
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if wanted in environment and (_state(pid) or (0, False, 0))[1]:
                found.append(pid)
    return found


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _state(pid: int) -> tuple[int, bool, int] | None:
    """A process's group, whether it still runs, and its parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return int(fields[2]), fields[0] not in ("Z", "X"), int(fields[1])


def _bounded(output: int, path: Path, kept: bytes) -> bytes:
    """Keep a chatty command's output file small: what is cut off its start is lost but for its last bytes."""
    if sys.platform == "win32" or os.fstat(output).st_size <= MOST_OUTPUT:
        return kept
    kept = (kept + _tail(path))[-KEPT_OUTPUT:]
    os.ftruncate(output, 0)  # the command appends, so it goes on at the new end
    return kept


def _tail(path: Path) -> bytes:
    with open_read(path) as file:  # not through the command's own descriptor: the two share their position
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - KEPT_OUTPUT))
        return file.read(KEPT_OUTPUT)
