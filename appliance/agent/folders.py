"""Creating files and folders below a folder without ever following a link. Source: security.md R3, A22, A29.

Where the system can (POSIX), every component is opened relative to its parent's descriptor with O_NOFOLLOW, so that
nobody can swap a folder for a link in between. Windows has no such calls: there each component is looked at by name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from appliance.agent.files import BINARY, NO_FOLLOW

BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd and os.name != "nt"
MOST_LINKS = 40
TEMPORARY = ".ocs-agent.tmp"  # one at a time in a folder; always the same, so that none is left behind
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_FOLLOW


def reach(path: str, *, folder_mode: int) -> Below:
    """An absolute folder anywhere, made recursively where it is missing. OSError where it cannot be.

    Links in the path are followed only where root or the agent's own user made them: /tmp may be one, but nobody else
    can lead the agent elsewhere.
    """
    if not BY_DESCRIPTOR:
        os.makedirs(path, exist_ok=True)
        return Below(Path(path), folder_mode=folder_mode)
    at = os.open("/", _FOLDER)
    todo = path.split("/")[::-1]
    links = 0
    try:
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            target = _link(part, at)
            if target is None:
                below = _step(at, part, folder_mode)
            else:
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                todo.extend(target.split("/")[::-1])
                below = os.open("/", _FOLDER) if target.startswith("/") else os.dup(at)
            os.close(at)
            at = below
    except BaseException:
        os.close(at)
        raise
    return Below(Path(path), folder_mode=folder_mode, descriptor=at)


class Below:
    """A folder that is written to by inner paths `a/b/c`, checked before. OSError is all that goes wrong."""

    def __init__(self, top: Path, *, folder_mode: int, descriptor: int | None = None) -> None:
        self.top = top
        self.folder_mode = folder_mode
        if descriptor is None and BY_DESCRIPTOR:
            descriptor = os.open(top, _FOLDER)
        self._descriptor = descriptor
        self._near: tuple[str, int] = ("", -1)  # the folder last used: archives are in folder order

    def close(self) -> None:
        """Give the descriptors back."""
        self._leave()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Below:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def folder(self, inner: str) -> None:
        """Make a folder and those above it; one that is there is left as it is."""
        self._enter(inner)

    def create(self, inner: str, mode: int) -> BinaryIO:
        """A new file; one that is there already is an error."""
        parent, _, name = inner.rpartition("/")
        return self._create(self._enter(parent), parent, name, mode)

    def replace(self, inner: str, source: Path, mode: int) -> None:
        """Put a file in place whole: beside it under another name, then renamed over it."""
        parent, _, name = inner.rpartition("/")
        at = self._enter(parent)
        self._unlink_temporary(at, parent)  # of a run that was killed
        try:
            with open(source, "rb") as data, self._create(at, parent, TEMPORARY, mode) as file:
                while piece := data.read(256 * 1024):
                    file.write(piece)
            if at is None:
                os.replace(self.top / parent / TEMPORARY, self.top / parent / name)
            else:
                os.rename(TEMPORARY, name, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            self._unlink_temporary(at, parent)
            raise

    def _unlink_temporary(self, at: int | None, parent: str) -> None:
        with contextlib.suppress(OSError):
            if at is None:
                os.unlink(self.top / parent / TEMPORARY)
            else:
                os.unlink(TEMPORARY, dir_fd=at)

    def _create(self, at: int | None, parent: str, name: str, mode: int) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | BINARY
        if at is None:
            descriptor = os.open(self.top / parent / name, flags, mode)
        else:
            descriptor = os.open(name, flags, mode, dir_fd=at)
        if sys.platform != "win32":
            os.fchmod(descriptor, mode)  # whatever the umask is
        return os.fdopen(descriptor, "wb")

    def _enter(self, inner: str) -> int | None:
        """The descriptor of an inner folder, made where it is missing; None where there are no descriptors."""
        parts = inner.split("/") if inner else []
        if self._descriptor is None:
            path = self.top
            for part in parts:
                path = path / part
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path, self.folder_mode)
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, "a link or a file stands where a folder must be", str(path))
            return None
        if self._near == (inner, self._near[1]) and self._near[1] >= 0:
            return self._near[1]
        at = os.dup(self._descriptor)
        for part in parts:
            try:
                below = _step(at, part, self.folder_mode)
            finally:
                os.close(at)
            at = below
        self._leave()
        self._near = (inner, at)
        return at

    def _leave(self) -> None:
        if self._near[1] >= 0:
            os.close(self._near[1])
        self._near = ("", -1)


def _step(at: int, part: str, mode: int) -> int:
    try:
        os.mkdir(part, mode, dir_fd=at)
        made = True
    except OSError:  # it is there, or the file system is read-only, which matters only where it is not
        made = False
    below = os.open(part, _FOLDER, dir_fd=at)
    if made and sys.platform != "win32":
        os.fchmod(below, mode)  # whatever the umask is
    return below


def _link(part: str, at: int) -> str | None:
    """Where a link leads that may be followed; None where there is none. Raises PermissionError."""
    try:
        status = os.stat(part, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    if sys.platform != "win32" and status.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EACCES, f"{part!r} in the path is another user's link")
    return os.readlink(part, dir_fd=at)
