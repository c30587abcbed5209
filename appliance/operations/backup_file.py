"""Write a backup file and read one: streams in, streams out, every byte held against its SHA-256 on the way."""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import BinaryIO, Protocol

from appliance.domain.refusal import Kind, Refusal
from appliance.store import backup as copies
from appliance.trust import sealing
from appliance.wire import backup
from appliance.wire.backup import Contents, Member
from appliance.wire.malformed import Malformed

READ = copies.PIECE
BUFFERS = 8
Report = Callable[[int, int], None]  # bytes done, bytes in all


class Differs(Exception):
    """The bytes of a member are not what the manifest says."""

    def __init__(self, member: Member) -> None:
        self.member = member
        super().__init__(member.name)


class Source(Protocol):
    """Where plain bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Exactly so many bytes; fewer only at the end."""


def write(
    out: BinaryIO, contents: Contents, opened: Callable[[Member], BinaryIO], passphrase: str | None, report: Report
) -> None:
    """The whole file, sealed where there is a passphrase. Raises Differs where a member's bytes do."""
    sealer = sealing.Sealer(out, passphrase) if passphrase is not None else None
    manifest = backup.encode(contents)
    done, total = 0, contents.size
    buffers = cycle(memoryview(bytearray(READ)) for _ in range(BUFFERS))
    packed = copies.Packer(sealer or out)
    with ThreadPoolExecutor(1) as beside:
        packed.write(backup.header(backup.MANIFEST, len(manifest)) + manifest + backup.padding(len(manifest)))
        for member in contents.members():
            packed.write(backup.header(member.name, member.piece.size))
            packed.begin()
            with closing(opened(member)) as file:
                digest = _Digest(beside)
                for data in _filled(buffers, file, member):
                    digest.update(data)
                    packed.write(data)
                    done += len(data)
                    report(done, total)
                if digest.hex() != member.piece.sha256:
                    raise Differs(member)
            packed.begin()
            packed.write(backup.padding(member.piece.size))
        packed.write(backup.END)
    packed.flush()
    if sealer:
        sealer.finish()


@contextmanager
def opened_source(path: Path, passphrase: str | None) -> Iterator[Source]:
    """The plain bytes of a backup file. Raises Refusal: unreadable, no backup, sealed and no passphrase."""
    with disk_errors(path), path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if sealing.is_sealed(start):
            if passphrase is None:
                raise Refusal(Kind.INVALID, "this backup is sealed; give its passphrase.", "passphrase")
            yield copies.Expanded(sealing.Unsealer(file, passphrase))
        elif copies.is_plain(start):
            yield copies.Expanded(file)
        else:
            raise Refusal(Kind.CONFLICT, "{file} is no backup of ocs.pyz.", file=path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What a disk says, as a Refusal; `path` where the disk does not say which file it is about."""
    try:
        yield
    except OSError as error:
        where, met = error.filename or path, error.strerror or error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(Kind.TOO_LARGE, "the disk of {where} is full; make room there.", where=where) from error
        raise Refusal(Kind.CONFLICT, "{where} cannot be read or written: {met}.", where=where, met=met) from error


def is_sealed(path: Path) -> bool:
    """Whether a backup file takes a passphrase; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return sealing.is_sealed(file.read(8))
    except OSError:
        return False


def read_contents(source: Source) -> Contents:
    """The manifest at the beginning. Raises Refusal."""
    try:
        size = backup.manifest_size(source.read(backup.BLOCK))
        data = source.read(size)
        if len(data) < size or source.read(-size % backup.BLOCK) != backup.padding(size):
            raise Malformed("it is cut off in its manifest")
        return backup.decode(data)
    except Malformed as error:
        raise Refusal(Kind.CONFLICT, "the file is no backup that can be used: {met}.", met=error) from None


def read_members(
    source: Source, contents: Contents, place: Callable[[Member], BinaryIO | None], report: Report
) -> None:
    """All that follows the manifest, each member into its place. Raises Refusal where one byte is not as it must be."""
    done, total = 0, contents.size
    with ThreadPoolExecutor(1) as beside:
        for member in contents.members():
            if source.read(backup.BLOCK) != backup.header(member.name, member.piece.size):
                raise _broken(member.name)
            digest, file = _Digest(beside), place(member)
            try:
                for data in _pieces(source, member):
                    digest.update(data)
                    if file is not None:
                        file.write(data)
                    done += len(data)
                    report(done, total)
            except Differs:
                raise _broken(member.name) from None
            finally:
                if file is not None:
                    file.close()
            padding = backup.padding(member.piece.size)
            if digest.hex() != member.piece.sha256 or source.read(len(padding)) != padding:
                raise _broken(member.name)
    if source.read(len(backup.END) + 1) != backup.END:
        raise _broken("its end")


def _broken(name: str) -> Refusal:
    return Refusal(
        Kind.CONFLICT, "the backup is damaged at {name}; nothing was restored from it, take another one.", name=name
    )


def _filled(buffers: Iterator[memoryview], file: BinaryIO, member: Member) -> Iterator[memoryview]:
    """Like _pieces, without taking memory anew for each."""
    left = member.piece.size
    while left:
        buffer = next(buffers)
        size = file.readinto(buffer[: min(READ, left)])  # type: ignore[attr-defined]
        if not size:
            raise Differs(member)
        left -= size
        yield buffer[:size]


def _pieces(source: Source, member: Member) -> Iterator[bytes]:
    left = member.piece.size
    while left:
        data = source.read(min(READ, left))
        if not data:
            raise Differs(member)
        left -= len(data)
        yield data


class _Digest:
    """SHA-256 on the thread beside, less than BUFFERS pieces behind the work on this one."""

    def __init__(self, beside: ThreadPoolExecutor) -> None:
        self._sha256 = hashlib.sha256()
        self._beside = beside
        self._behind: deque[Future[None]] = deque()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes; they must stay as they are until BUFFERS - 1 more have come."""
        if len(self._behind) == BUFFERS - 1:
            self._behind.popleft().result()
        self._behind.append(self._beside.submit(self._sha256.update, data))

    def hex(self) -> str:
        """The digest of all."""
        while self._behind:
            self._behind.popleft().result()
        return self._sha256.hexdigest()
