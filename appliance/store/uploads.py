"""Files on their way into a package: the folder `<draft id>.upload` beside the packages', below no served address.

A file lies there in pieces `1`, `2`, … of one size, the one that fragments will probably have: then a build takes them
as they are, without a copy. It is appended to by one writer at a time, at exactly the offset that it has; what arrived
before a connection was lost stays, and after a kill or a power cut what was synced (arrived.py). Its digests are kept
in memory while it grows, so that a build need not read it again. Blocking; call it through a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from appliance.disk import sync_folder
from appliance.domain.draft import DraftId, is_draft_id
from appliance.domain.fragments import show_size
from appliance.domain.refusal import Kind, Refusal, conflict
from appliance.store import arrived
from appliance.store.digests import Digests
from appliance.store.joined import BINARY, forget, joined

UPLOAD = ".upload"
PACKING = ".packing"
RESERVE = 64 * 1024**2  # bytes that stay free on the disk for the database
MOST_BUFFERS = 512  # of one write to the disk
MOST_BEHIND = 2  # appends that the slower digest may be behind
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        return sum(file.stat().st_size for file in arrived.pieces(self.path(draft)))

    def parts(self, draft: DraftId, piece_size: int) -> Parts:
        """The file as it lies here, with its digests where they ran along from its first byte to its last."""
        size, running = self.size(draft), self._running.get(draft)
        digests = None
        if running and running.size == size:
            last = [running.piece.hexdigest()] if size > len(running.pieces) * piece_size else []
            digests = Digests(running.md5.hexdigest(), running.sha256.hexdigest(), (*running.pieces, *last))
        return Parts(tuple(arrived.pieces(self.path(draft))), piece_size, size, digests)

    def open(self, draft: DraftId) -> BinaryIO:
        """The whole file, to be read anywhere."""
        return joined(arrived.pieces(self.path(draft)))

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
        """A new file of one piece, on the disk at the end of the block, if that ends well. Raises Refusal.

        The caller holds the draft, writes the row, and calls `choose`.
        """
        packed = self._packed(draft)
        with met_by_disk():
            try:
                shutil.rmtree(packed, ignore_errors=True)
                packed.mkdir(mode=0o700)
                with (packed / "1").open("x+b") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                    size = os.fstat(file.fileno()).st_size
                (packed / "1").chmod(0o644)
                arrived.note(packed, size)
                sync_folder(self._folder)
            except BaseException:
                shutil.rmtree(packed, ignore_errors=True)
                raise

    def packed_size(self, draft: DraftId) -> int:
        """The size of the file that waits for `choose`."""
        return arrived.noted(self._packed(draft))

    def choose(self, draft: DraftId, size: int) -> None:
        """The packed file takes the upload's place if it has that size, which the row of a packed file names; 0: none.

        Where this is cut short, the next start does it again. Raises Refusal.
        """
        packed, path = self._packed(draft), self.path(draft)
        if size and arrived.noted(packed) == size:
            self._running.pop(draft, None)
            shutil.rmtree(path, ignore_errors=True)
            with met_by_disk():
                packed.rename(path)
                sync_folder(self._folder)
        shutil.rmtree(packed, ignore_errors=True)

    def settle(self, draft: DraftId, piece_size: int, packed: int) -> None:
        """After a start: of the file that the row names, what is on the disk for sure. `packed`: as for `choose`."""
        try:
            self.choose(draft, packed)
            arrived.cut(self.path(draft), piece_size)
        except (OSError, Refusal):  # better none than one of which nobody knows
            shutil.rmtree(self.path(draft), ignore_errors=True)

    def begin_anew(self, draft: DraftId) -> None:
        """Another file comes: of this one nothing is used, whatever a power cut brings back. Raises Refusal."""
        with self.holding(draft), met_by_disk():
            arrived.forget(self.path(draft))
        self.remove(draft)

    def remove(self, draft: DraftId) -> None:
        """Take a draft's file away. Raises Refusal where somebody writes to it."""
        with self.holding(draft):
            self._running.pop(draft, None)
            for folder in (self.path(draft), self._packed(draft)):
                shutil.rmtree(folder, ignore_errors=True)

    def drafts(self) -> set[DraftId]:
        """Every draft that has a file here."""
        return {DraftId(path.stem) for path in self._folder.iterdir() if _is_ours(path)}

    def _packed(self, draft: DraftId) -> Path:
        return self._folder / f"{draft}{PACKING}"


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
        self._keeping = Lock()  # a request that is given up may still be at it
        self._kept = arrived.noted(folder)
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
        """Nothing more comes for now: all that came is on the disk when this returns. Raises Refusal."""
        with met_by_disk():
            self._keep()

    def close(self) -> None:
        """Keep what nobody is told of, too, if that can be.

        Where the disk did not take what it had accepted, the file goes: a second fsync would succeed without the bytes.
        """
        self._writer.shutdown()
        with contextlib.suppress(OSError):
            self._keep()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._beside.shutdown()
        self._settler.shutdown()
        if self._lost:
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._running:
                self._running.size = -1

    def _keep(self) -> None:
        with self._keeping:
            if self.size == self._kept or self._lost:
                return
            self._lost = True  # if one of these fails
            self._settled()
            if self.size % self._piece_size:
                with self._piece().open("r+b") as last:  # by its name: it may be of an earlier request
                    os.fsync(last.fileno())
            self._lost = False
            try:
                arrived.note(self._folder, self.size)
            except OSError as error:
                self._lost = error.errno not in NO_SPACE
                raise
            self._kept = self.size

    def _write(self, buffers: Sequence[memoryview]) -> None:
        """Buffers that all belong to one piece."""
        weight = sum(len(buffer) for buffer in buffers)
        if not weight:
            return
        at = self.size % self._piece_size
        if self._descriptor < 0:
            self._make_folder()
            self._descriptor = os.open(self._piece(), os.O_WRONLY | os.O_CREAT | BINARY, 0o644)
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
        self._settling, self._descriptor = self._settler.submit(self._settle, self._descriptor, self.size), -1

    def _settled(self) -> None:
        """The piece before this one is on the disk: not more than two wait for it."""
        if self._settling:
            self._settling.result()
            self._settling = None

    def _settle(self, descriptor: int, size: int) -> None:
        try:
            os.fsync(descriptor)
            forget(descriptor)
        finally:
            os.close(descriptor)
        try:
            arrived.note(self._folder, size)
        except OSError as error:
            if error.errno not in NO_SPACE:  # else there is room for it later, or a kill costs that piece
                raise

    def _piece(self) -> Path:
        """The file that is written to next."""
        return self._folder / str(self.size // self._piece_size + 1)

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        try:
            sync_folder(self._folder.parent)
        except OSError:
            self._folder.rmdir()
            raise

    @staticmethod
    def _digest_beside(running: _Running, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            running.md5.update(chunk)


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
        if error.errno in NO_SPACE:
            raise Refusal(
                Kind.TOO_LARGE, "the server's disk is full; make room there, and go on with the upload.", "file"
            ) from error
        raise Refusal(
            Kind.BUSY, "the server cannot write the file: {met}.", "file", met=error.strerror or error
        ) from error


def _is_ours(path: Path) -> bool:
    return is_draft_id(path.stem) and path.suffix in (UPLOAD, PACKING) and path.is_dir()
