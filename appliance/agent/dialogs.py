"""What all dialogs share: the question, the reply, and running a dialog's program to its end.

Which dialog is shown when, and what its reply means, is notice's business; how each kind is shown, dialogs_*.py's.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO, Callable, Protocol

from appliance.clock import Clock

MOST_OUTPUT = 4096  # bytes of a dialog's output that are read: its user decides what it writes
GRACE = 2.0  # seconds between asking a dialog to end and ending it

START, LATER, CANCEL, OK = "Start now", "Later", "Cancel", "OK"  # what buttons say


class Reply(Enum):
    """What became of one dialog that was shown, or was to be."""

    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    DELAYED = "delayed"
    TIMED_OUT = "timed out"
    CLOSED = "closed"  # without a choice: nothing was said
    UNSHOWN = "unshown"  # there is no display, no such session, no such program


@dataclass(frozen=True)
class Question:
    """What is shown. `text` is plain; `seconds` is how long, more than 0; `counts`: the person sees it run down."""

    title: str
    text: str
    seconds: int
    may_cancel: bool = False
    may_delay: bool = False
    counts: bool = False

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one button."""
        return self.may_cancel or self.may_delay


class Dialog(Protocol):
    """One way to reach one person."""

    @property
    def name(self) -> str:
        """For the log: `zenity for alice on :0`."""

    def ask(self, question: Question) -> Reply:
        """Show it. Comes back within `seconds` and a few more, whatever happens."""


@dataclass(frozen=True)
class Account:
    """Whom a dialog's program runs as."""

    uid: int
    gid: int
    name: str
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Call:
    """A program to run. `account`: None runs it as the agent; `seconds`: then it is ended."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    seconds: float
    account: Account | None = None


@dataclass(frozen=True)
class Finished:
    """How a program ended: `code` as in subprocess, None where it had to be ended; the start of what it wrote."""

    code: int | None
    out: str = ""
    err: str = ""


Run = Callable[[Call], Finished]


def run(call: Call, clock: Clock | None = None) -> Finished:
    """Run it in a process group of its own, of which nothing is left afterwards. OSError: it could not be started.

    Not for Windows, which has its own way to speak to a session.
    """
    clock = clock or Clock()
    process = _start(call)
    try:
        return _watch(process, clock, clock.monotonic() + call.seconds)
    finally:
        _end(process)


def _start(call: Call) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        raise OSError("dialogs are not programs on Windows")
    other = call.account if call.account is not None and call.account.uid != os.geteuid() else None
    return subprocess.Popen(
        call.command, env=dict(call.environment), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True, umask=0o077, user=other.uid if other else None,
        group=other.gid if other else None, extra_groups=(other.groups or (other.gid,)) if other else None,
    )  # fmt: skip


def _watch(process: subprocess.Popen[bytes], clock: Clock, deadline: float) -> Finished:
    """Wait for its end. What it writes beyond the bound is thrown away."""
    taken: dict[int, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                taken[pipe.fileno()] = b""
                selector.register(pipe, selectors.EVENT_READ)
        while process.poll() is None and clock.monotonic() < deadline:
            left = max(0.0, deadline - clock.monotonic())
            if not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left)
                continue
            for key, _ in selector.select(min(left, 1.0)):
                if not _take(key.fd, taken):
                    selector.unregister(key.fileobj)
        code = process.poll()
        for key, _ in selector.select(0):  # what it wrote last
            _take(key.fd, taken)
    return Finished(code, _text(process.stdout, taken), _text(process.stderr, taken))


def _take(descriptor: int, taken: dict[int, bytes]) -> bool:
    """Read a little; whether there may be more to read."""
    data = os.read(descriptor, MOST_OUTPUT)
    taken[descriptor] = (taken[descriptor] + data)[:MOST_OUTPUT]
    return bool(data)


def _text(pipe: IO[bytes] | None, taken: Mapping[int, bytes]) -> str:
    return "" if pipe is None else taken[pipe.fileno()].decode("utf-8", errors="replace").strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of its group lives on, also when the agent is stopped in between."""
    if sys.platform == "win32":
        return
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            if signum == signal.SIGTERM:
                continue  # itself has ended; those that it started are made to
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def first_line(text: str) -> str:
    """The first line of an error, for the log."""
    return next(iter(text.splitlines()), "")[:200]


def choices(question: Question) -> Sequence[tuple[str, str, Reply]]:
    """The buttons of a question, as (word, label, reply), the one that goes ahead first."""
    if not question.has_choice:
        return (("ok", OK, Reply.ACCEPTED),)
    found = [("now", START, Reply.ACCEPTED)]
    if question.may_delay:
        found.append(("later", LATER, Reply.DELAYED))
    if question.may_cancel:
        found.append(("cancel", CANCEL, Reply.CANCELLED))
    return found
