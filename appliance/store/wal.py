"""SQLite's write-ahead log and its index, as they lie on the disk; nothing here writes or holds a lock.

Source: SQLite's file format, "The Write-Ahead Log", and "The WAL-Index File".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

HEAD, FRAME = 32, 24  # bytes before the first frame, and before each page
INDEX = 100  # of its head; behind it are bytes that Windows locks


@dataclass(frozen=True)
class Index:
    """What the index says: of which log, how many frames that has, and how many of them are in the database."""

    salts: bytes
    frames: int
    copied: int


def index_of(index: FileIO) -> Index | None:
    """What an index says; None where it was not begun."""
    head = at(index, 0, INDEX)
    if len(head) < INDEX or not head[12]:
        return None
    (frames,), (copied,) = struct.unpack("=I", head[16:20]), struct.unpack("=I", head[96:100])
    return Index(head[32:40], frames, copied)


def salts(log: FileIO) -> bytes:
    """What all frames of a log have in common, until it is begun anew."""
    return at(log, 16, 8)


@contextmanager
def opened(path: Path | str, how: str = "rb") -> Iterator[FileIO | None]:
    """A file without a buffer; None where there is none."""
    try:
        file = FileIO(path, how)
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def at(file: FileIO, start: int, size: int) -> bytes:
    """So many bytes from there on; fewer at the end."""
    file.seek(start)
    return file.read(size)


def page_size(log: FileIO) -> int:
    """Of the log's pages, in bytes; 0 where it was not begun."""
    head = at(log, 0, HEAD)
    size = int.from_bytes(head[8:12], "big") if len(head) == HEAD else 0
    return size if 512 <= size <= 65536 else 0


def pages_of(log: FileIO, size: int, frames: int | None) -> Iterator[int]:
    """The page of each frame, of so many frames, or of all that belong together."""
    same, number = salts(log), 0
    while frames is None or number < frames:
        head = at(log, HEAD + number * (FRAME + size), FRAME)
        if len(head) < FRAME or head[8:16] != same:
            return
        yield int.from_bytes(head[:4], "big")
        number += 1


def frame(log: FileIO, size: int, number: int) -> bytes:
    """The page in a frame; the first is 0."""
    return at(log, HEAD + number * (FRAME + size) + FRAME, size)


class LogLength:
    """How many frames the log has that belong together, found by looking at what came since the last look."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}-wal")
        self._salts = b""
        self.frames = 0

    def look(self) -> int:
        """The number of frames, up to a few that a kill left."""
        with opened(self._path) as log:
            size = page_size(log) if log else 0
            if not (log and size):
                self._salts, self.frames = b"", 0
                return 0
            found = salts(log)
            if found != self._salts:
                self._salts, self.frames = found, 0
            while at(log, HEAD + self.frames * (FRAME + size) + 8, 8) == found:
                self.frames += 1
        return self.frames
