"""The base directory: made, checked, and held by one engine at a time. Source: security.md R33, A29, A30."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from appliance import disk
from appliance.agent.failure import Unusable
from appliance.agent.files import BINARY, NO_FOLLOW
from appliance.clock import Clock

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

SPOOL = "spool"
CONFIG = "agent.cfg"
BUNDLE = "cacert.pem"
LOCK = "lock"


def default() -> Path:
    """Where the agent lives when nobody says otherwise."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "OCS Agent"
    if sys.platform == "darwin":
        return Path("/Library/Application Support/OCS Agent")
    return Path("/var/lib/ocs-agent")


def prepare(folder: Path) -> Path:
    """The base directory, made where it is missing, as a path without links. Raises Unusable.

    Whoever could write to it, or to a folder above it, could become root through it: then the agent does not run.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_symlink():
            folder.mkdir(mode=0o700, exist_ok=True)
        checked(folder)
        disk.sync_above(folder)
        return folder.resolve()
    except OSError as error:
        raise Unusable(f"The base directory {folder} cannot be made: {error.strerror}.") from None


def checked(folder: Path) -> None:
    """Raise Unusable where the base directory, or one above it, is not safe; OSError where it cannot be looked at."""
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise Unusable(f"The base directory {folder} is a link; name the folder itself.")
    if not stat.S_ISDIR(status.st_mode):
        raise Unusable(f"The base directory {folder} is no folder.")
    if sys.platform == "win32":
        return
    if status.st_mode & 0o022:
        raise Unusable(f"The base directory {folder} can be written by others; chmod 700 it after a look inside.")
    if status.st_uid != os.geteuid():
        raise Unusable(f"The base directory {folder} belongs to another user; chown it after a look inside.")
    for parent in folder.resolve().parents:
        above = parent.stat()
        others = above.st_mode & (0o022 if os.geteuid() == 0 and above.st_gid != 0 else 0o002)
        if others and not above.st_mode & stat.S_ISVTX:
            raise Unusable(f"{parent}, above the base directory, can be written by others; choose another place.")
        if above.st_uid not in (0, os.geteuid()):
            raise Unusable(f"{parent}, above the base directory, belongs to another user; choose another place.")


def lock(folder: Path) -> BinaryIO:
    """Hold the base directory until the returned file is closed. Raises Unusable when another process holds it."""
    file = os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | NO_FOLLOW | BINARY, 0o600), "r+b")
    if not _take(file):
        Clock().rest(0.2)  # `agent status` holds it for a moment to look
        if not _take(file):
            file.seek(0)
            holder = file.read(32).decode("ascii", errors="replace").strip()
            file.close()
            raise Unusable(f"An agent is at work in {folder} already (process {holder or 'unknown'}).")
    file.seek(0)
    file.truncate()
    file.write(b"%d\n" % os.getpid())
    file.flush()
    return file


def is_held(folder: Path) -> bool:
    """Whether an engine is at work in the base directory."""
    try:
        with open(folder / LOCK, "r+b") as file:
            return not _take(file)
    except OSError:
        return False


def _take(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(64)  # what is locked cannot be read by others, and the process id should be
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
