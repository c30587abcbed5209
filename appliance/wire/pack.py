"""A single file as an archive that every agent unpacks: a zip, or a tar.gz, with that one member at its top."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from typing import BinaryIO, Callable

SMALL = 16 * 1024 * 1024  # larger files are installers, which are packed inside already
PIECE = 1024 * 1024
MODE = 0o755  # installers and scripts are started
DATE = (1980, 1, 1, 0, 0, 0)  # the same file gives the same archive

Progress = Callable[[int, int], None]  # bytes done, bytes in all


def pack(out: BinaryIO, file_format: str, member: str, source: BinaryIO, size: int, progress: Progress) -> None:
    """Write an archive of that format (`zip` or `tar.gz`) with `source` in it, which has `size` bytes."""
    counted = _Counted(source, size, progress)
    if file_format == "zip":
        _zip(out, member, counted, size)
    else:
        _targz(out, member, counted, size)


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, source: BinaryIO, size: int, progress: Progress) -> None:
        self._source = source
        self._size = size
        self._progress = progress
        self._done = 0

    def read(self, size: int = PIECE) -> bytes:
        data = self._source.read(min(size, PIECE))
        self._done += len(data)
        self._progress(self._done, self._size)
        return data


def _zip(out: BinaryIO, member: str, source: _Counted, size: int) -> None:
    entry = zipfile.ZipInfo(member, DATE)
    entry.create_system = 3  # Unix: the mode is believed
    entry.external_attr = (0o100000 | MODE) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if size <= SMALL else zipfile.ZIP_STORED
    entry.file_size = size
    with zipfile.ZipFile(out, "w") as archive, archive.open(entry, "w") as inside:
        while piece := source.read():
            inside.write(piece)


def _targz(out: BinaryIO, member: str, source: _Counted, size: int) -> None:
    entry = tarfile.TarInfo(member)
    entry.size, entry.mode = size, MODE
    level = 6 if size <= SMALL else 0
    with (
        gzip.GzipFile("", "wb", level, out, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT, bufsize=PIECE) as archive,
    ):
        archive.addfile(entry, source)
