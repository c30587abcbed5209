"""Files one behind the other, read as one."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

READ = 1024 * 1024
BINARY = getattr(os, "O_BINARY", 0)  # Windows would put in carriage returns


def joined(files: Sequence[Path]) -> BinaryIO:
    """Files one behind the other as one, to be read anywhere."""
    return io.BufferedReader(_Joined(files), READ)


class _Joined(io.RawIOBase):
    """One file at a time is open."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._ends: list[int] = []
        for file in files:
            self._ends.append(file.stat().st_size + (self._ends[-1] if self._ends else 0))
        self._at = 0
        self._open = -1  # which one
        self._descriptor = -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1] if self._ends else 0}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # as an ordinary file does
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number = next((n for n, end in enumerate(self._ends) if self._at < end), None)
        if number is None:
            return 0
        start = self._ends[number - 1] if number else 0
        if number != self._open:
            self._let_go()
            self._descriptor, self._open = os.open(self._files[number], os.O_RDONLY | BINARY), number
        os.lseek(self._descriptor, self._at - start, os.SEEK_SET)
        data = os.read(self._descriptor, min(len(buffer), self._ends[number] - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = self._open = -1


def forget(descriptor: int) -> None:
    """The system need not keep a file's bytes in memory; other files have better use for it."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
