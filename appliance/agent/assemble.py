"""Joining: the fragments of a package as one file, read where they lie, and held against what was built.

No second copy is made: a package of 1 GiB needs 1 GiB. What was verified is what is used: a fragment that changes
between the two is noticed by its inode, size and time. Source: security.md R2, A6, A11; protocol.md 4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
from pathlib import Path
from typing import Any

from appliance.agent.failure import Failure
from appliance.agent.files import open_read
from appliance.domain.package import Info, Manifest

PIECE = 1024 * 1024
_ALGORITHMS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class Joined(io.RawIOBase):
    """Fragment files as one readable, seekable file. Raises Failure(ERR_BUILD) where one is gone or was changed."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.stamps: list[tuple[int, int, int]] = []
        self.starts: list[int] = [0]
        for path in paths:
            try:
                status = path.lstat()
            except OSError:
                raise Failure("ERR_BUILD", f"{path.name} is gone.") from None
            self.stamps.append(_stamp(status))
            self.starts.append(self.starts[-1] + status.st_size)
        self.size = self.starts[-1]
        self.position = 0
        self._open: io.FileIO | None = None
        self._index = -1

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there; behind the end there is nothing to read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(22, "a position before the start")
        self.position = base + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Read on, at most to the end of the fragment at hand."""
        if self.position >= self.size:
            return 0
        index = self._index
        if not (index >= 0 and self.starts[index] <= self.position < self.starts[index + 1]):
            index = self._find()
        file = self._at(index)
        file.seek(self.position - self.starts[index])
        room = min(len(buffer), self.starts[index + 1] - self.position)
        count = file.readinto(memoryview(buffer)[:room])
        if not count:
            raise Failure("ERR_BUILD", f"{self.paths[index].name} was cut off.")
        self.position += count
        return int(count)

    def close(self) -> None:
        """Close the fragment at hand too."""
        if self._open is not None:
            self._open.close()
            self._open = None
        super().close()

    def _find(self) -> int:
        low, high = 0, len(self.paths)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= self.position else (low, middle)
        while self.starts[low + 1] <= self.position:  # an empty fragment holds no position
            low += 1
        return low

    def _at(self, index: int) -> io.FileIO:
        if index != self._index or self._open is None:
            if self._open is not None:
                self._open.close()
            try:
                self._open = open_read(self.paths[index])
            except OSError:
                raise Failure("ERR_BUILD", f"{self.paths[index].name} cannot be read.") from None
            self._index = index
            if _stamp(os.fstat(self._open.fileno())) != self.stamps[index]:
                raise Failure("ERR_BUILD", f"{self.paths[index].name} was changed after it was verified.")
        return self._open


def join(paths: list[Path]) -> io.BufferedReader:
    """The fragments as one buffered file."""
    return io.BufferedReader(Joined(paths), 256 * 1024)


def wrong_pieces(paths: list[Path], manifest: Manifest) -> list[int]:
    """Which fragments, counted from 1, are not what the manifest says."""
    wrong = []
    for number, (path, piece) in enumerate(zip(paths, manifest.pieces), 1):
        digest = hashlib.sha256()
        try:
            with open_read(path) as file:
                while block := file.read(PIECE):
                    digest.update(block)
        except OSError:
            pass
        if digest.hexdigest() != piece.sha256:
            wrong.append(number)
    return wrong


def fault(file: io.BufferedReader, info: Info, manifest: Manifest | None) -> str:
    """Why the joined file is not what was built; empty when it is. The position is put back to the start."""
    algorithm = _ALGORITHMS.get(info.digest_algorithm.upper().replace("-", ""))
    if algorithm is None:
        return f"The info file's digest {info.digest_algorithm[:20]!r} is of a kind that nobody knows."
    digest = hashlib.new(algorithm, usedforsecurity=False)
    strong = hashlib.sha256() if manifest else None
    size = 0
    file.seek(0)
    while block := file.read(PIECE):
        size += len(block)
        digest.update(block)
        if strong:
            strong.update(block)
    file.seek(0)
    if manifest and strong and (size != manifest.size or strong.hexdigest() != manifest.sha256):
        return "The joined fragments are not what the manifest says."
    if not same_digest(digest.digest(), info.digest, info.digest_encoding):
        return "The joined fragments do not have the info file's digest."
    return ""


def same_digest(digest: bytes, text: str, encoding: str) -> bool:
    """Whether an info file's digest is this one; Base64 with or without its padding (protocol.md 4)."""
    if encoding.lower() == "base64":
        try:
            return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True) == digest
        except (binascii.Error, ValueError):
            return False
    return text.lower() == digest.hex()


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_ino, status.st_size, status.st_mtime_ns)
