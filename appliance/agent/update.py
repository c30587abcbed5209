"""The agent replaces itself, as one more package. Killed anywhere, the old or the new one starts, never none.

Source: the manual, "Deploying new version of Service agent"; packaging.md 1.4; security.md F31.

A package brings the new file into the base directory's folder `update`: a Store with the path INSTALL_PATH/update,
or a command that copies it there. That it is what was built was verified as for any package. What lies beside the
installed file meanwhile is told in trial.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, NoReturn

from appliance import __version__
from appliance.agent import environment, trial
from appliance.agent.failure import Unusable
from appliance.agent.ownership import guard, trusted
from appliance.agent.trial import NEW, OLD, Effects, Trial, beside, digest_of

INBOX = "update"
MOST_STARTS = 3  # without a contact; the next start goes back
PATIENCE = 24 * 3600  # seconds: so long on trial without a contact is to count as a start, by `reexec`
VERIFY_SECONDS = 60.0
_VERSION = re.compile(r"ocs\.pyz (\d[\w.+-]{0,40})\s*\Z", re.ASCII)


@dataclass(frozen=True)
class Begun:
    """What a start found. `restart`: another file is in place now, leave and `reexec`; `tell`: a line for the log."""

    restart: bool = False
    on_trial: bool = False
    tell: str = ""


def running_file() -> Path | None:
    """The archive that this program runs from; None where it runs from a source tree."""
    for above in Path(__file__).absolute().parents:
        if above.is_file():
            return above
    return None


def begin(installed: Path, folder: Path, *, effects: Effects | None = None) -> Begun:
    """At each start of the engine, first of all: finish or throw away what was begun, count a start on trial.

    `folder` is the base directory; its inbox is made. OSError where the disk does not let us.
    """
    effects = effects or Effects()
    effects.make_folder(folder / INBOX)
    known = trial.read(installed)
    if known is None:
        trial.tidy(installed, effects)
        return Begun()
    if digest_of(installed) != known.new:
        if digest_of(beside(installed, NEW)) != known.new:
            trial.forget(installed, effects)  # it went back, or somebody installed another one by hand
            return Begun()
        effects.rename(beside(installed, NEW), installed, sync=True)
        return Begun(restart=True, tell=f"Version {known.version} is put in place, as was begun before.")
    if known.starts >= MOST_STARTS:
        if roll_back(installed, folder, effects=effects):
            why = f"Version {known.version} was started {known.starts} times and made no contact"
            return Begun(restart=True, tell=f"{why}: the one before it is back in place.")
        return Begun(tell=f"Version {known.version} made no contact, and there is none before it to go back to.")
    known = replace(known, starts=known.starts + 1)
    with contextlib.suppress(OSError):  # a full disk is no reason not to start
        trial.write(installed, known, effects)
    return Begun(on_trial=True, tell=f"Version {known.version} is on trial, start {known.starts} of {MOST_STARTS}.")


def offered(folder: Path) -> Path | None:
    """The file that a package has put into the base directory's inbox, the newest where there are several."""
    found = []
    with contextlib.suppress(OSError):
        for path in (folder / INBOX).iterdir():
            if path.suffix == ".pyz" and stat.S_ISREG(path.lstat().st_mode):
                found.append((path.lstat().st_mtime, path))
    return max(found)[1] if found else None


def take(folder: Path, installed: Path, tell: Callable[[str], None], *, effects: Effects | None = None) -> bool:
    """Swap in what lies in the inbox of base directory `folder`, if it is good; whether to leave and `reexec`.

    The inbox is empty afterwards. Call it where no command runs, after results were told. Never raises for a bad file.
    """
    effects = effects or Effects()
    new = offered(folder)
    if new is None:
        return False
    try:
        version = swap(new, installed, effects=effects)
    except (Unusable, OSError) as error:
        tell(f"The update {new.name} is refused: {error}")
        version = None
    else:
        if version is not None:
            tell(f"Version {version} is in place and on trial; this was {__version__}.")
    _empty(folder, effects)
    return version is not None


def swap(
    new_file: Path, installed: Path, *, effects: Effects | None = None, verify: Callable[[Path], str] | None = None
) -> str | None:
    """Put a new file in the installed one's place, which is kept beside it; its version, None where it is the same.

    Raises Unusable where it is no working agent, or others could write to the installed one's folder; OSError where
    the disk does not let us. In both cases the installed file is what it was.
    """
    effects = effects or Effects()
    guard(installed, trusted())
    new, old = beside(installed, NEW), beside(installed, OLD)
    decided = False
    try:
        digest, before = effects.copy(new_file, new), digest_of(installed)
        if digest != before:
            version = (verify or verified)(new)
            known = trial.read(installed)
            if known is None or digest_of(old) != known.old:
                # On trial itself, the file before it is the last one known to work, and stays the one to go back to
                effects.remove(old)
                effects.link(installed, old)
                known = Trial(digest, before, version)
            trial.write(installed, replace(known, new=digest, version=version, starts=0), effects)
            decided = True
    finally:
        at = trial.read(installed)
        if at is None or digest_of(new) != at.new:  # once decided, the copy is what a later start puts in place
            with contextlib.suppress(OSError):
                new.unlink()
    if not decided:
        return None
    effects.rename(new, installed, sync=True)
    return version


def verified(file: Path) -> str:
    """The version of an agent's file, by running it with this interpreter. Raises Unusable."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Unusable(f"it is no archive ({error}).") from None
    if damaged is not None:
        raise Unusable(f"{damaged} in it is damaged.")
    command = [sys.executable, "-I", "-S", str(file), "agent", "--version"]
    try:
        done = subprocess.run(
            command, cwd=file.parent, env=environment.of_system(os.environ), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=VERIFY_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"it cannot be run: {error}.") from None
    said = _VERSION.match(done.stdout[:200].decode("ascii", errors="replace"))
    if done.returncode or not said:
        lines = done.stderr[-2000:].decode("utf-8", errors="replace").splitlines()
        raise Unusable(f"its `agent --version` ended with {done.returncode}: {lines[-1] if lines else 'no version'}.")
    return said.group(1)


def confirm(installed: Path, *, effects: Effects | None = None) -> bool:
    """After each successful contact: the running file has proved itself; whether it was on trial."""
    if trial.read(installed) is None:
        return False
    trial.forget(installed, effects or Effects())
    return True


def roll_back(installed: Path, folder: Path, *, effects: Effects | None = None) -> bool:
    """Put the file before this one back; whether there is one. What lies in the inbox is not tried again."""
    effects = effects or Effects()
    known, old = trial.read(installed), beside(installed, OLD)
    back = known is not None and digest_of(old) == known.old
    if back:
        _empty(folder, effects)
        effects.rename(old, installed, sync=True)
    trial.forget(installed, effects)
    return back


def reexec(words: Sequence[str], installed: Path) -> NoReturn:
    """Become what lies at `installed` now: `agent` with these words. Leave the base directory's lock before.

    On Windows a new process is started and this one ends. OSError: there is nothing to become.
    """
    command = [sys.executable, "-I", "-S", str(installed), "agent", *words]
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if sys.platform == "win32":
        subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=True)
        sys.exit(0)
    os.execv(sys.executable, command)


def _empty(folder: Path, effects: Effects) -> None:
    """Nothing is left in the inbox; the folder stays, so that a command can copy into it."""
    with contextlib.suppress(OSError):
        for path in list((folder / INBOX).iterdir()):
            effects.remove(path)
