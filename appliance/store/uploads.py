"""Files on their way into a package: the folder `<draft id>.upload` beside the packages', below no served address.

A file lies there in pieces `1`, `2`, … of one size, the one that fragments will probably have: then a build takes them
as they are, without a copy. It is appended to by one writer at a time, at exactly the offset that it has; what arrived
before a connection was lost stays. Its digests are kept in memory while it grows, so that a build need not read it
again. Blocking; call it through a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.disk import sync_folder
from appliance.domain.draft import DraftId, is_draft_id
from appliance.domain.fragments import show_size
from appliance.domain.refusal import Kind, Refusal, conflict
from appliance.store.digests import Digests

UPLOAD = ".upload"
PACKING = ".packing"
RESERVE = 64 * 1024**2  # bytes that stay free on the disk for the database
MOST_BUFFERS = 512  # of one write to the disk
MOST_BEHIND = 2  # appends that the slower digest may be behind
READ = 1024 * 1024
BINARY = getattr(os, "O_BINARY", 0)  # Windows would put in carriage returns


@dataclass(frozen=True)
class Parts:
    """A whole file as it lies here; all files but the last have `piece_size` bytes."""

    files: tuple[Path, ...]
    piece_size: int
    size: int
    digests: Digests | None


class _Running:
    """The digests of a file as far as it has come."""

    def __init__(self) -> None:
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)  # what genuine agents verify (protocol.md 4)
        self.sha256 = hashlib.sha256()
        self.piece = hashlib.sha256()
        self.pieces: list[str] = []

    def end_piece(self) -> None:
        self.pieces.append(self.piece.hexdigest())
        self.piece = hashlib.sha256()


class Uploads:
    """The files of drafts, in the shelf's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, _Running] = {}
        self._busy: set[str] = set()

    def path(self, draft: DraftId) -> Path:
        """The folder of a draft's file, if it has one."""
        return self._folder / f"{draft}{UPLOAD}"

    def size(self, draft: DraftId) -> int:
        """How much has arrived; 0 where nothing has."""
        return sum(file.stat().st_size for file in self._files(draft))

    def parts(self, draft: DraftId, piece_size: int) -> Parts:
        """The file as it lies here, with its digests where they ran along from its first byte to its last."""
        size, running = self.size(draft), self._running.get(draft)
        digests = None
        if running and running.size == size:
            last = [running.piece.hexdigest()] if size > len(running.pieces) * piece_size else []
            digests = Digests(running.md5.hexdigest(), running.sha256.hexdigest(), (*running.pieces, *last))
        return Parts(tuple(self._files(draft)), piece_size, size, digests)

    def open(self, draft: DraftId) -> BinaryIO:
        """The whole file, to be read anywhere."""
        return joined(self._files(draft))

    def must_hold(self, size: int) -> None:
        """Raises Refusal(TOO_LARGE) where the disk cannot hold so many bytes more."""
        must_hold(self._folder, size)

    @contextlib.contextmanager
    def holding(self, draft: DraftId) -> Iterator[None]:
        """Nobody else touches the file during the block. Raises Refusal(BUSY) where somebody does."""
        if draft in self._busy:
            raise Refusal(Kind.BUSY, "this file is in use already; wait until that has ended.", "file")
        self._busy.add(draft)
        try:
            yield
        finally:
            self._busy.discard(draft)

    @contextlib.contextmanager
    def writing(self, draft: DraftId, offset: int, piece_size: int) -> Iterator[Upload]:
        """The file, to be appended to from `offset` on. Raises Refusal: another offset, or somebody else writes."""
        with self.holding(draft):
            there = self.size(draft)
            if offset != there:
                raise conflict("the upload goes on at byte {offset}.", offset=there)
            if there == 0:
                self._running[draft] = _Running()
            running = self._running.get(draft)
            if running and running.size != there:  # a write that failed half-way: the build reads the file again
                self._running.pop(draft)
                running = None
            upload = Upload(self.path(draft), there, piece_size, running)
            try:
                yield upload
            finally:
                upload.close()

    @contextlib.contextmanager
    def packing(self, draft: DraftId) -> Iterator[BinaryIO]:
        """A new file that takes the upload's place at the end of the block, if that ends well. Raises Refusal.

        It has one piece. The caller holds the draft.
        """
        packed = self._folder / f"{draft}{PACKING}"
        try:
            with met_by_disk():
                shutil.rmtree(packed, ignore_errors=True)
                packed.mkdir(mode=0o700)
                with (packed / "1").open("x+b") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                (packed / "1").chmod(0o644)
                shutil.rmtree(self.path(draft), ignore_errors=True)
                packed.rename(self.path(draft))
                sync_folder(self._folder)
            self._running.pop(draft, None)
        finally:
            shutil.rmtree(packed, ignore_errors=True)

    def remove(self, draft: DraftId) -> None:
        """Take a draft's file away. Raises Refusal where somebody writes to it."""
        with self.holding(draft):
            self._running.pop(draft, None)
            for suffix in (UPLOAD, PACKING):
                shutil.rmtree(self._folder / f"{draft}{suffix}", ignore_errors=True)

    def drafts(self) -> set[DraftId]:
        """Every draft that has a file here."""
        return {DraftId(path.stem) for path in self._folder.iterdir() if _is_ours(path)}

    def _files(self, draft: DraftId) -> list[Path]:
        try:
            names = [path.name for path in self.path(draft).iterdir()]
        except FileNotFoundError:
            return []
        return [self.path(draft) / name for name in sorted(names, key=int)]


class Upload:
    """A file that is being written by one writer."""

    def __init__(self, folder: Path, size: int, piece_size: int, running: _Running | None) -> None:
        self.size = size
        self._folder = folder
        self._piece_size = piece_size
        self._running = running
        self._descriptor = -1
        self._writer = ThreadPoolExecutor(1)
        self._beside = ThreadPoolExecutor(1)  # the slower digest has a thread of its own, and so has the disk
        self._behind: deque[Future[None]] = deque()
        self._settler = ThreadPoolExecutor(1)
        self._settling: Future[None] | None = None
        self._failed: OSError | None = None
        self._lost = False

    def later(self, chunks: Sequence[bytes]) -> Future[None]:
        """`append` in a thread, after all that was given before."""
        return self._writer.submit(self.append, chunks)

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write what arrived behind what is there. Raises Refusal where the disk does not take it, from then on."""
        with met_by_disk():
            if self._failed:
                raise self._failed  # what came before this is not there
            if self._running:
                self._behind.append(self._beside.submit(self._digest_beside, self._running, chunks))
            try:
                gathered: list[memoryview] = []
                room = self._piece_size - self.size % self._piece_size
                for chunk in chunks:
                    left = memoryview(chunk)
                    while left:
                        part, left = left[:room], left[room:]
                        gathered.append(part)
                        room -= len(part)
                        if room == 0 or len(gathered) == MOST_BUFFERS:
                            self._write(gathered)
                            gathered, room = [], room or self._piece_size
                self._write(gathered)
            except OSError as error:
                self._failed = error
                if self._running:
                    self._running.size = -1  # its digests ran ahead of the disk: the build reads the file again
                raise
            while len(self._behind) > MOST_BEHIND:
                self._behind.popleft().result()

    def finish(self) -> None:
        """All has arrived: the bytes are on the disk when this returns."""
        with met_by_disk():
            try:
                self._settled()
                if self._descriptor >= 0:
                    os.fsync(self._descriptor)
                if self.size:
                    sync_folder(self._folder)
                    sync_folder(self._folder.parent)
            except OSError:
                self._lost = True
                raise

    def close(self) -> None:
        """Nothing more comes for now.

        Where the disk did not take what it had accepted, the file goes: a second fsync would succeed without the bytes.
        """
        self._writer.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._beside.shutdown()
        self._settler.shutdown()
        if self._lost or (self._settling and self._settling.exception()):
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._running:
                self._running.size = -1

    def _write(self, buffers: Sequence[memoryview]) -> None:
        """Buffers that all belong to one piece."""
        weight = sum(len(buffer) for buffer in buffers)
        if not weight:
            return
        at = self.size % self._piece_size
        if self._descriptor < 0:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            name = str(self.size // self._piece_size + 1)
            self._descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | BINARY, 0o644)
        done = os.pwritev(self._descriptor, buffers, at) if hasattr(os, "pwritev") else 0
        if done != weight:  # a disk that took a part only, or a system without that call
            left = memoryview(b"".join(buffers))[done:]
            os.lseek(self._descriptor, at + done, os.SEEK_SET)
            while left:
                left = left[os.write(self._descriptor, left) :]
        self.size += weight
        if self._running:
            for buffer in buffers:
                self._running.sha256.update(buffer)
                self._running.piece.update(buffer)
            self._running.size = self.size
        if self.size % self._piece_size == 0:
            self._end_piece()

    def _end_piece(self) -> None:
        if self._running:
            self._running.end_piece()
        self._settled()
        self._settling, self._descriptor = self._settler.submit(_settle, self._descriptor), -1

    def _settled(self) -> None:
        """The piece before this one is on the disk: not more than two wait for it."""
        if self._settling:
            self._settling.result()
            self._settling = None

    @staticmethod
    def _digest_beside(running: _Running, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            running.md5.update(chunk)


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


def _settle(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
        forget(descriptor)
    finally:
        os.close(descriptor)


def forget(descriptor: int) -> None:
    """The system need not keep a file's bytes in memory; other files have better use for it."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def must_hold(folder: Path, size: int) -> None:
    """Raises Refusal(TOO_LARGE) where the disk below a folder cannot hold so many bytes more."""
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise Refusal(
            Kind.TOO_LARGE,
            "it needs {size} on the server's disk and {free} are free.",
            "file",
            size=show_size(size + RESERVE),
            free=show_size(free),
        )


@contextlib.contextmanager
def met_by_disk() -> Iterator[None]:
    """What the disk says, as a Refusal."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(
                Kind.TOO_LARGE, "the server's disk is full; make room there, and go on with the upload.", "file"
            ) from error
        raise Refusal(
            Kind.BUSY, "the server cannot write the file: {met}.", "file", met=error.strerror or error
        ) from error


def _is_ours(path: Path) -> bool:
    return is_draft_id(path.stem) and path.suffix in (UPLOAD, PACKING) and path.is_dir()
