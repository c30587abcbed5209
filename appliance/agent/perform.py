"""Acting on a package whose file was verified: Launch, Execute, Store. What the server is told follows from the Ending.

A command that ended by signal n is reported as ERR_EXIT_CODE_-n. A program without a `#!` line is given to the shell,
as genuine Unix agents do.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from appliance.agent import environment, folders
from appliance.agent.expand import target_folder
from appliance.agent.failure import Failure
from appliance.agent.files import Files
from appliance.agent.process import Command, Ended, Run, run
from appliance.agent.spool import OUTPUT, WORK
from appliance.agent.unpack import FOLDER_MODE, file_mode, space_or, unpack
from appliance.domain.archive import ArchiveLimits
from appliance.domain.package import Action, Info, Order, System, program_of

SHELL = "/bin/sh"


@dataclass(frozen=True)
class Job:
    """One package to act on. `folder` is its folder in the spool; `file` its verified archive, None without one."""

    info: Info
    name: str
    folder: Path
    file: BinaryIO | None
    minutes: int  # the longest that a command may run


@dataclass(frozen=True)
class Ending:
    """How it ended: the outcome's code, one sentence where it is no success, the exit code where there was one."""

    code: str
    why: str = ""
    exit_code: int | None = None


class Witness(Protocol):
    """Who writes down what must be on disk before things go on."""

    def armed(self, run: str) -> None:
        """The command starts next."""

    def started(self, pid: int) -> None:
        """It has started. Must not raise: there is no way back."""


class Host(Protocol):
    """This computer, as the driver sees it."""

    def act(self, job: Job, witness: Witness) -> Ending:
        """Do what the package says. Raises Failure."""


class LocalHost:
    """The real computer."""

    def __init__(self, *, install_path: Path, server: str, outer: Mapping[str, str], files: Files) -> None:
        self.install_path = install_path
        self.server = server
        self.outer = outer
        self.system = environment.of_system(outer)
        self.files = files

    def act(self, job: Job, witness: Witness) -> Ending:
        """Unpack and act. What was unpacked is removed by the spool, when the result is written down."""
        work = job.folder / WORK
        try:
            self.files.remove(work)  # of a run that was interrupted before it started anything
            if job.file is None:
                os.mkdir(work, 0o700)
        except OSError as error:
            raise space_or("ERR_UNZIP", "Its folder cannot be made", error) from None
        if job.file is not None:
            unpack(job.file, work, ArchiveLimits())
        if job.info.action is Action.STORE:
            return self._store(job, work)
        command = _command(job.info, work)
        mark = secrets.token_hex(8)
        told = environment.of_package(
            job.info, name=job.name, server=self.server, install_path=str(self.install_path), run=mark
        )
        planned = Run(
            command=command,
            folder=work,
            environment={**self.system, **told},
            seconds=job.minutes * 60.0,
            output=job.folder / OUTPUT,
            whole_group=job.info.action is Action.LAUNCH,
        )
        witness.armed(mark)
        try:
            return ending(_run(planned, witness), job.minutes)
        except OSError as error:
            return Ending("ERR_EXECUTE", f"The command cannot be started: {error.strerror or error}.")

    def _store(self, job: Job, work: Path) -> Ending:
        if job.file is None:
            raise Failure("ERR_BAD_PARAM", "A Store without a file stores nothing.")
        variables = {**self.outer, **self.system}
        target = target_folder(job.info.argument, variables, str(self.install_path), windows=sys.platform == "win32")
        try:
            with folders.reach(target, folder_mode=FOLDER_MODE) as below:
                _place_all(work, below)
            if hasattr(os, "sync"):
                os.sync()  # a success is not told before it would survive a power cut
        except OSError as error:
            raise space_or("ERR_EXECUTE", f"Storing in {target} failed", error) from None
        return Ending("SUCCESS")


def ending(ended: Ended, minutes: int) -> Ending:
    """What a command's end means."""
    if ended.code is None:
        return Ending("ERR_EXECUTE_TIMEOUT", f"The command ran longer than {minutes} minutes and was ended.")
    if ended.code == 0:
        return Ending("SUCCESS", exit_code=0)
    what = f"with code {ended.code}" if ended.code > 0 else f"by signal {-ended.code}"
    return Ending(f"ERR_EXIT_CODE_{ended.code}", f"The command ended {what}.", ended.code)


def _command(info: Info, work: Path) -> Command:
    """What is started for a Launch or an Execute. Raises Failure."""
    if not info.argument.strip() or "\0" in info.argument:
        raise Failure("ERR_EXECUTE_PACK", "The info file names no command.")
    if info.action is Action.EXECUTE:
        if sys.platform == "win32":
            shell = os.environ.get("COMSPEC", r"C:\Windows\System32\cmd.exe")
            return f'"{shell}" /d /s /c "{info.argument}"'
        return [SHELL, "-c", info.argument]
    if sys.platform == "win32":
        name = program_of(Order("", System.WINDOWS, Action.LAUNCH, info.argument))
        rest = info.argument.strip().lstrip('"')[len(name) :].lstrip('"')
        return f'"{_program(name, work)}"{rest}'
    try:
        words = shlex.split(info.argument)
    except ValueError as error:
        raise Failure("ERR_BAD_PARAM", f"The command cannot be read: {error}.") from None
    if not words:
        raise Failure("ERR_EXECUTE_PACK", "The info file names no command.")
    return [str(_program(words[0], work)), *words[1:]]


def _program(name: str, work: Path) -> Path:
    """The program in the archive, made executable. Nothing in `work` is a link: it was unpacked by us."""
    parts = name.replace("\\", "/").split("/") if os.name == "nt" else name.split("/")
    path = work.joinpath(*parts) if name and ".." not in parts and parts[0] != "" else None
    try:
        if path is None or not stat.S_ISREG(path.lstat().st_mode):
            raise Failure("ERR_EXECUTE", f"{name[:200]!r} is no program in the archive.")
        os.chmod(path, 0o755)
    except OSError:
        raise Failure("ERR_EXECUTE", f"{name[:200]!r} is not in the archive.") from None
    return path


def _run(planned: Run, witness: Witness) -> Ended:
    try:
        return run(planned, witness.started)
    except OSError as error:
        if error.errno != errno.ENOEXEC or isinstance(planned.command, str):
            raise
    return run(replace(planned, command=[SHELL, *planned.command]), witness.started)


def _place_all(work: Path, below: folders.Below) -> None:
    """Every folder and file of `work`, hidden and empty ones too; each file whole."""
    for top, names, files in os.walk(work):
        inner = Path(top).relative_to(work).as_posix()
        prefix = "" if inner == "." else f"{inner}/"
        for name in sorted(names):
            below.folder(prefix + name)
        for name in sorted(files):
            source = Path(top, name)
            below.replace(prefix + name, source, file_mode(source.stat().st_mode))
            source.unlink()  # so that a large package does not lie there three times
