"""Acting on a package whose file was verified: Launch, Execute, Store. What the server is told follows from the Ending.

A command that ended by signal n is reported as ERR_EXIT_CODE_-n.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from appliance.agent import environment, folders, keeper
from appliance.agent.expand import target_folder
from appliance.agent.failure import Failure
from appliance.agent.files import Files
from appliance.agent.jobs import GOES_DOWN, Ending, Job, Post, Witness
from appliance.agent.keeper import Kept
from appliance.agent.process import SHELL, Command, Run
from appliance.agent.spool import OUTPUT, POST_OUTPUT, WORK
from appliance.agent.unpack import FOLDER_MODE, file_mode, space_or, unpack
from appliance.domain.archive import ArchiveLimits
from appliance.domain.package import Action, Info, Order, PackageId, System, program_of
from appliance.domain.status import of_exit_code

SLACK = 60  # seconds that a command's end may take after its time was over
POST = "POSTCMD"


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
        planned = Run(
            command=command,
            folder=work,
            environment=self._environment(job.info.package, job.info.action.value, job.name, mark),
            seconds=job.minutes * 60.0,
            output=job.folder / OUTPUT,
            whole_group=job.info.action is Action.LAUNCH,
        )
        witness.armed(mark)
        try:
            return ending(keeper.keep(planned, job.folder, witness.started), job.minutes)
        except OSError as error:
            return ending(Kept(fault=error.strerror or str(error)), job.minutes)

    def ended(self, folder: Path, minutes: int) -> Ending | None:
        """Waits for a command that still runs; its time is limited as before."""
        kept = keeper.outcome(folder, minutes * 60.0 + SLACK)
        return ending(kept, minutes) if kept is not None and kept.known else None

    def post(self, post: Post) -> int | None:
        """A command of the shell, in the package's folder."""
        text = GOES_DOWN.get(post.command.strip().upper(), post.command)
        planned = Run(
            command=_shell(text),
            folder=post.folder,
            environment=self._environment(post.package, POST, post.name, secrets.token_hex(8)),
            seconds=post.minutes * 60.0,
            output=post.folder / POST_OUTPUT,
            whole_group=False,
        )
        try:
            return keeper.keep(planned, post.folder, lambda _: None).code
        except OSError:
            return None

    def _environment(self, package: PackageId, action: str, name: str, mark: str) -> dict[str, str]:
        told = environment.of_package(
            package, action, name=name, server=self.server, install_path=str(self.install_path), run=mark
        )
        return {**self.system, **told}

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


def ending(kept: Kept, minutes: int) -> Ending:
    """What a command's end means."""
    if not kept.known:
        return Ending("ERR_DONE_FAILED", "What watched over the command was ended before it; nobody knows its end.")
    if kept.fault:
        return Ending("ERR_EXECUTE", f"The command cannot be started: {kept.fault}.")
    if kept.code is None:
        return Ending("ERR_EXECUTE_TIMEOUT", f"The command ran longer than {minutes} minutes and was ended.")
    outcome = of_exit_code(kept.code)
    if outcome == "SUCCESS":
        why = f"It is installed; the command's code {kept.code} asks for a restart of the computer." * bool(kept.code)
        return Ending(outcome, why, kept.code)
    what = f"with code {kept.code}" if kept.code > 0 else f"by signal {-kept.code}"
    return Ending(outcome, f"The command ended {what}.", kept.code)


def _shell(text: str) -> Command:
    if sys.platform == "win32":
        shell = os.environ.get("COMSPEC", r"C:\Windows\System32\cmd.exe")
        return f'"{shell}" /d /s /c "{text}"'
    return [SHELL, "-c", text]


def _command(info: Info, work: Path) -> Command:
    """What is started for a Launch or an Execute. Raises Failure."""
    if not info.argument.strip() or "\0" in info.argument:
        raise Failure("ERR_EXECUTE_PACK", "The info file names no command.")
    if info.action is Action.EXECUTE:
        return _shell(info.argument)
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
