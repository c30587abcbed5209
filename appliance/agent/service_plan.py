"""A plan of changes to the system, as a value: shown by --dry-run, carried out below any root.

What it is for is service's business.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Union

from appliance import disk
from appliance.agent import basedir
from appliance.agent.environment import UNIX_PATH
from appliance.agent.failure import Unusable
from appliance.agent.files import open_read, remove_tree

COMMAND_SECONDS = 120.0


@dataclass(frozen=True)
class MakeFolder:
    """A folder that shall be there, with this mode where it has to be made."""

    path: str
    mode: int

    def __str__(self) -> str:
        return f"folder  {self.mode:04o}  {self.path}"


@dataclass(frozen=True)
class WriteFile:
    """A file that shall have exactly this content: bytes, or what `source` has."""

    path: str
    mode: int
    content: bytes = field(default=b"", repr=False)
    source: Path | None = None
    secret: bool = False  # not shown

    def __str__(self) -> str:
        what = f"from {self.source}" if self.source else f"{len(self.content)} bytes"
        return f"write   {self.mode:04o}  {self.path}  ({what})"


@dataclass(frozen=True)
class Remove:
    """A file, or a folder with all that is in it where `tree`, or else an empty one, that shall be gone."""

    path: str
    tree: bool = False

    def __str__(self) -> str:
        return f"remove        {self.path}{' with all that is in it' if self.tree else ''}"


@dataclass(frozen=True)
class Idle:
    """A base directory in which no agent may be at work any more."""

    path: str

    def __str__(self) -> str:
        return f"demand        no agent is at work in {self.path}"


@dataclass(frozen=True)
class Command:
    """A program of the system to run. `may_fail`: it undoes what may not be there."""

    words: tuple[str, ...]
    may_fail: bool = False

    def __str__(self) -> str:
        return f"run           {' '.join(self.words)}"


Step = Union[MakeFolder, WriteFile, Remove, Idle, Command]


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and what to tell beside them."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


def shown(plan: Plan) -> str:
    """The plan for people; small files in full, but for secrets."""
    lines = []
    for step in plan.steps:
        lines.append(str(step))
        if isinstance(step, WriteFile) and not step.source and not step.secret:
            lines += [f"        | {line}" for line in _readable(step.content).splitlines()]
    return "\n".join([*lines, *plan.notes])


def _readable(content: bytes) -> str:
    return content.decode("utf-16" if content[:2] == b"\xff\xfe" else "utf-8", errors="replace")


@dataclass(frozen=True)
class Machine:
    """Where a plan is carried out. `root`: in place of /; `run` gives a program's exit code and its errors."""

    root: Path = Path("/")
    run: Callable[[tuple[str, ...]], tuple[int, str]] = field(default=lambda words: run_command(words))

    def at(self, path: str) -> Path:
        """Where a planned path lies here."""
        return Path(path) if self.root == Path("/") else self.root / path.lstrip("/")


def carry_out(plan: Plan, machine: Machine) -> None:
    """Do it step by step; each may be done again. Raises Unusable with the step that failed."""
    for step in plan.steps:
        try:
            _do(step, machine)
        except OSError as error:
            raise Unusable(f"{step}: {error.strerror or error}.") from None


def _do(step: Step, machine: Machine) -> None:
    if isinstance(step, Command):
        code, errors = machine.run(step.words)
        if code and not step.may_fail:
            said = next(iter(errors.strip().splitlines()), "")
            raise Unusable(f"`{' '.join(step.words)}` ended with code {code}{': ' if said else ''}{said[:300]}.")
        return
    path = machine.at(step.path)
    if isinstance(step, MakeFolder):
        _make(path, step.mode)
    elif isinstance(step, WriteFile):
        disk.keep(path, _content(step), step.mode)
    elif isinstance(step, Idle):
        if basedir.is_held(path):
            raise Unusable(f"An agent is still at work in {path}; end it, then do this again.")
    else:
        _remove(path, tree=step.tree)


def _make(path: Path, mode: int) -> None:
    if path.is_dir() and not path.is_symlink():
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.mkdir(mode=mode)
    os.chmod(path, mode)  # whatever the umask is


def _content(step: WriteFile) -> bytes:
    if step.source is None:
        return step.content
    with open_read(step.source.resolve()) as file:
        return file.read()


def _remove(path: Path, *, tree: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
        elif tree:
            remove_tree(path)
        else:
            with contextlib.suppress(OSError):  # something that is not ours lies in it
                path.rmdir()


def run_command(words: Iterable[str]) -> tuple[int, str]:
    """Run a program of the system, found where the system has its own; its exit code and errors. OSError."""
    name, *rest = words
    found = name if os.path.isabs(name) or sys.platform == "win32" else shutil.which(name, path=UNIX_PATH)
    if not found:
        return 127, f"{name} is not installed"
    environment = dict(os.environ) if sys.platform == "win32" else {"PATH": UNIX_PATH, "LANG": "C.UTF-8"}
    try:
        done = subprocess.run([found, *rest], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=COMMAND_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"it did not end within {COMMAND_SECONDS:.0f} s"
    said = done.stderr if done.stderr.strip() else done.stdout
    return done.returncode, said.decode("utf-8", errors="replace")
