"""Reading zip and tar.gz: members and their bytes, in archive order. What may be unpacked is domain/archive's to say.

Source: security.md A22-A24: member headers are read by the standard library, and never trusted further than that.
What GNU tar or unzip would read on, but the standard library silently leaves out (a second gzip member, what follows
a damaged header), is refused: genuine agents would unpack what nobody looked at.
"""

from __future__ import annotations

import contextlib
import errno
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, Callable

from appliance.domain.archive import Member, Shape
from appliance.wire.malformed import Malformed

PIECE = 256 * 1024
LONGEST_HEADER = 64 * 1024  # a long name or pax header, which tarfile takes into memory whole
LONGEST_END = 1024 * 1024  # the zeros with which tar fills its last record
LARGEST_DIRECTORY = 32 * 1024 * 1024  # a zip's central directory, which zipfile takes into memory whole
MOST_ENTRIES = 100_000
MOST_EMPTY_STREAMS = 1_000  # gzip streams in one file that hold nothing

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError,
    RuntimeError, OverflowError, KeyError, IndexError,
)  # fmt: skip
Opener = Callable[[], IO[bytes]]


def format_of(file: BinaryIO) -> str | None:
    """`zip` or `tar.gz` by the file's first bytes, None for anything else; the position is put back to 0."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    if head in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    return "tar.gz" if head[:2] == b"\x1f\x8b" else None


def members(file: BinaryIO) -> Iterator[tuple[Member, Opener]]:
    """Each member with a function that opens its bytes, to be called before the next one is asked for.

    Raises Malformed where the archive cannot be read to its end. Encrypted zips count as unreadable.
    """
    kind = format_of(file)
    if kind is None:
        raise Malformed("it is neither a zip nor a tar.gz archive")
    with _named():
        yield from _zip(file) if kind == "zip" else _tar(file)


def pieces(opener: Opener) -> Iterator[bytes]:
    """A member's bytes to its end. Raises Malformed."""
    with _named(), opener() as stream:
        while piece := stream.read(PIECE):
            yield piece


def drain(opener: Opener) -> int:
    """Read a member to its end and throw it away: how many bytes it truly has. Raises Malformed."""
    return sum(len(piece) for piece in pieces(opener))


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        words = str(error).split() or [type(error).__name__]
        raise Malformed(f"the archive is damaged: {ascii(' '.join(words))[1:-1][:120]}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset before the file's begin
            raise
        raise Malformed("the archive is damaged: it points outside itself") from None


def _zip(file: BinaryIO) -> Iterator[tuple[Member, Opener]]:
    _weigh_directory(file)
    with zipfile.ZipFile(file) as archive:
        _check_overlap(archive)
        for entry in archive.infolist():
            if entry.flag_bits & 0x1:
                raise Malformed("the archive is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Malformed("the archive uses a compression that not every agent knows; use deflate")
            yield _zip_member(entry), lambda entry=entry: archive.open(entry)  # type: ignore[misc]


def _weigh_directory(file: BinaryIO) -> None:
    """Refuse a central directory of a size or count that must not come into memory; find it as zipfile does."""
    size = file.seek(0, io.SEEK_END)
    tail_at = max(0, size - 22 - 65_536 - 76)
    file.seek(tail_at)
    tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == b"PK\x05\x06" else tail.rfind(b"PK\x05\x06")
    if not 0 <= at <= len(tail) - 22:
        raise Malformed("the archive is damaged: it has no zip directory")
    length = struct.unpack_from("<L", tail, at + 12)[0]
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\x06\x07" and tail[at - 76 : at - 72] == b"PK\x06\x06":
        at -= 76  # zip64
        length = struct.unpack_from("<Q", tail, at + 40)[0]
    if length > LARGEST_DIRECTORY:
        raise Malformed("the archive has a zip directory that is too large")
    file.seek(max(0, tail_at + at - length))
    if file.read(length).count(b"PK\x01\x02") > MOST_ENTRIES:
        raise Malformed(f"the archive has more than {MOST_ENTRIES} entries")
    file.seek(0)


def _check_overlap(archive: zipfile.ZipFile) -> None:
    """No two entries may share bytes (a bomb of few bytes); zipfile itself looks only since 3.11.8 and 3.12.2."""
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise Malformed("the archive has entries that overlap")
        end = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size
    if end > archive.start_dir:
        raise Malformed("the archive has entries that overlap")


def _zip_member(entry: zipfile.ZipInfo) -> Member:
    # whatever system the archive says it comes from: unzip believes these bits for several of them
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        shape = Shape.SYMLINK if kind == stat.S_IFLNK else Shape.OTHER
    else:
        shape = Shape.FOLDER if entry.filename.endswith("/") or kind == stat.S_IFDIR else Shape.FILE
    # orig_filename: what zipfile shows as filename was cut at a NUL and had separators replaced
    return Member(entry.orig_filename, shape, entry.file_size, stat.S_IMODE(mode) or 0o644, entry.compress_size)


class _Gunzip(io.RawIOBase):
    """The bytes of every gzip stream in a file, one behind the other, as gzip -d gives them; each must be whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflator = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._pending = b""
        self._fresh = True  # nothing of this stream was read yet
        self._empty = 0

    def read(self, size: int = PIECE) -> bytes:
        while True:
            pending = self._pending or self._file.read(16 * 1024)
            if not pending:
                if not self._fresh:
                    raise EOFError("the gzip stream ends too early")
                return b""
            if self._fresh and not (pending := pending.lstrip(b"\0")):
                self._pending = b""
                continue  # gzip fills up with zeros on some media
            begun, self._fresh = self._fresh, False
            data = self._inflator.decompress(pending, size)
            self._pending = self._inflator.unconsumed_tail
            if self._inflator.eof:
                self._pending = self._inflator.unused_data
                self._inflator = zlib.decompressobj(16 + zlib.MAX_WBITS)
                self._fresh = True
                self._empty += begun and not data
                if self._empty > MOST_EMPTY_STREAMS:
                    raise Malformed("the archive consists of empty gzip streams")
            if data:
                return data


_NAMING = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


class _Header(tarfile.TarInfo):
    """A tar header that is refused where tarfile would take too much memory, or end without a word."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EmptyHeaderError", "EOFHeaderError"):
                raise
            raise Malformed("the archive is damaged: a tar header that is none") from None

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # the entry point that tarfile's own comments name for subclasses
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise Malformed("the archive has a sparse file; pack it without --sparse")
        if self.type in _NAMING and not 0 <= self.size <= LONGEST_HEADER:
            raise Malformed("the archive has a name or header that is too long")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if self.type == tarfile.GNUTYPE_LONGNAME and "path" in found.pax_headers:
            raise Malformed("the archive gives a member two names")
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise Malformed("the archive has a sparse file; pack it without --sparse")


def _tar(file: BinaryIO) -> Iterator[tuple[Member, Opener]]:
    # utf-8 wherever it runs: what is allowed must not depend on a locale
    with tarfile.open(
        fileobj=_Gunzip(file),
        mode="r|",
        bufsize=PIECE,
        tarinfo=_Header,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        for entry in archive:
            yield _tar_member(entry), lambda entry=entry: _extract(archive, entry)  # type: ignore[misc]
            archive.members = []  # type: ignore[attr-defined]  # a long stream must not grow in memory
        _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """Behind the last member there may be only zeros, and not many."""
    behind = 0
    while piece := archive.fileobj.read(PIECE):
        behind += len(piece)
        if behind > LONGEST_END or piece.strip(b"\0"):
            raise Malformed("the archive has something behind its end")


def _tar_member(entry: tarfile.TarInfo) -> Member:
    if entry.issym():
        shape = Shape.SYMLINK
    elif entry.islnk():
        shape = Shape.HARDLINK
    elif entry.isdir():
        shape = Shape.FOLDER
    else:
        shape = Shape.FILE if entry.isreg() and not entry.issparse() else Shape.OTHER
    return Member(entry.name, shape, entry.size, stat.S_IMODE(entry.mode))


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(entry)
    if stream is None:
        raise Malformed("the archive is damaged: a file without content")
    return stream
