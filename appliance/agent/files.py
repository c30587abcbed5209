"""The effects on the spool's files, each whole or not at all. What they mean is not known here.

Every change on disk that must survive goes through one of these few functions, so that a test can stop the agent
after any of them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from appliance import disk

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
BINARY = getattr(os, "O_BINARY", 0)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Files:
    """The real disk."""

    def make_folder(self, folder: Path) -> None:
        """A new folder that only its owner may enter. One that is there already is left as it is."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
            disk.sync_folder(folder.parent)
        if folder.is_symlink():
            raise OSError(f"{folder} is a link")

    def append(self, path: Path, data: bytes, *, at: int) -> None:
        """Write data behind the first `at` bytes, on disk when this returns; what was torn behind them is cut off."""
        flags = os.O_WRONLY | os.O_CREAT | NO_FOLLOW | BINARY
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size > at:
                os.ftruncate(descriptor, at)
            os.lseek(descriptor, at, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if at == 0:
            disk.sync_folder(path.parent)

    def keep(self, path: Path, data: bytes) -> None:
        """Replace a small file whole."""
        disk.keep(path, data)

    def rename(self, old: Path, new: Path, *, sync: bool) -> None:
        """Give a finished file its name. `sync`: its bytes and its name are on disk when this returns."""
        if sync:
            descriptor = os.open(old, os.O_RDWR | NO_FOLLOW | BINARY)  # Windows syncs only what may be written
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        os.replace(old, new)
        if sync:
            disk.sync_folder(new.parent)

    def remove(self, path: Path) -> None:
        """A file, or a folder with all that is in it; links are removed, never followed. Gone already: fine."""
        try:
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            pass


def remove_tree(folder: Path) -> None:
    """Remove a folder; links are never followed. What a package made unwritable is made writable first."""
    try:
        shutil.rmtree(folder)
    except PermissionError:
        for top, _, names in os.walk(folder):
            os.chmod(top, 0o700)
            for name in names if os.name == "nt" else ():  # Windows holds on to read-only files
                os.chmod(os.path.join(top, name), 0o700)
        shutil.rmtree(folder)


def open_part(path: Path, *, start: int) -> BinaryIO:
    """A fragment's unfinished file, open for writing behind its first `start` bytes; longer ones are cut."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW | BINARY, 0o600)
    file = os.fdopen(descriptor, "r+b")
    file.truncate(start)
    file.seek(start)
    return file


def open_read(path: Path) -> io.FileIO:
    """A file of the spool for reading, unbuffered; a link is refused."""
    return io.FileIO(os.open(path, os.O_RDONLY | NO_FOLLOW | BINARY), "r")
