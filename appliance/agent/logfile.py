"""A log file that never grows beyond a bound, and that nobody else can turn elsewhere. Source: security.md A30, R33.

agent.log, then agent.log.1 (the one before), .2 and .3; each mode 0600. What is written into it is log's business.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from appliance.agent.files import BINARY, NO_FOLLOW

LARGEST = 2 * 1024 * 1024  # bytes of one file
KEPT = 3  # older files


class LogFile:
    """Takes what a text stream takes of a log: write, flush, isatty, close. Lines are whole or cut off by a full disk.

    OSError at the start: it cannot be opened, or it is another's. Later ones are write's.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        self.path = path
        self.largest = largest
        self.kept = kept
        self._descriptor = _opened(path)

    def write(self, text: str) -> int:
        """Write a line at the end, into a new file where this one would grow too large. OSError: the line is lost."""
        data = text.encode("utf-8", errors="backslashreplace")
        if self._has_left():
            self._reopen()
        size = os.fstat(self._descriptor).st_size
        if size and size + len(data) > self.largest:
            self._rotate()
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def close(self) -> None:
        """Close it; a second time is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _has_left(self) -> bool:
        """Whether the name stands for another file now: an administrator moved ours away."""
        try:
            found, ours = self.path.lstat(), os.fstat(self._descriptor)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        descriptor = _opened(self.path)  # while ours is still open: where this fails, nothing has changed
        self.close()
        self._descriptor = descriptor

    def _rotate(self) -> None:
        """Move every file on by one. Where that fails the log goes on in the file that there is."""
        self.close()  # Windows renames no open file
        with contextlib.suppress(OSError):
            for number in range(self.kept, 0, -1):
                older = self._older(number - 1)
                if older.exists():
                    os.replace(older, self._older(number))
            if not self.kept:
                self.path.unlink()
        self._descriptor = _opened(self.path)

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _opened(path: Path) -> int:
    """Open for appending. OSError where it is a link, no file, or has another owner or name: it would be written to."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_FOLLOW | BINARY | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if os.name != "nt":
            if found.st_uid != os.geteuid() or found.st_nlink > 1:
                raise OSError(errno.EPERM, "it belongs to another account, or has a second name", str(path))
            if stat.S_IMODE(found.st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
