"""The fragments directory: receive a file in pieces, hand the pieces out, sweep what no row names.

Files and rows agree by order: bytes first, row last; row away first, bytes later. An edit makes its bytes in
`<id>.building`, then the row, then swaps the folders; a sweep after a kill finishes or drops what was begun, and the
row's info digest says which. Blocking; call it through a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.disk import sync_folder
from appliance.domain.fragments import count, length, show_size
from appliance.domain.package import PackageId, Payload, Piece, is_package_id
from appliance.domain.refusal import Kind, Refusal

try:
    import fcntl
except ImportError:  # Windows: a sweep there finds no lock and relies on one server per data directory
    fcntl = None  # type: ignore[assignment]

READ = 1024 * 1024
RESERVE = 64 * 1024**2  # bytes that stay free on the disk for the database
BUILDING = ".building"
OLD = ".old"

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Cut:
    """A file on the shelf, in fragments."""

    payload: Payload
    pieces: tuple[Piece, ...]


class Shelf:
    """The folder `fragments/`, one folder below it for each package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, for its owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def building(self, package: PackageId) -> Iterator[Building]:
        """A new folder for a package; unless it was finished it is gone at the end of the block."""
        path = self.folder / f"{package}{BUILDING}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True)
        with _held(path):
            build = Building(self.folder, path, package)
            try:
                yield build
            finally:
                if not build.finished:
                    shutil.rmtree(path, ignore_errors=True)

    def open_fragment(self, package: str, number: int, size: int) -> BinaryIO:
        """A fragment's file, its size checked. Raises Refusal where it is gone or damaged."""
        return self._open(package, f"{package}-{number}", size)

    def read(self, package: str, name: str, largest: int) -> bytes:
        """A small file of a package, `info` or `manifest`. Raises Refusal where it is gone."""
        with self._open(package, name, None) as file:
            return file.read(largest)

    def remove(self, package: PackageId) -> None:
        """Take a package's files away; the row is gone already."""
        for suffix in ("", BUILDING, OLD):
            shutil.rmtree(self.folder / f"{package}{suffix}", ignore_errors=True)

    def sweep(self, infos: Mapping[str, str]) -> list[str]:
        """Put right what a kill left behind: the names removed. `infos`: the info file's SHA-256 of every row."""
        removed = []
        for path in sorted(self.folder.iterdir()):
            package, _, suffix = path.name.partition(".")
            if not is_package_id(package) or not path.is_dir() or _is_held(path):
                continue
            if suffix == "building" and package in infos and _info_digest(path) == infos[package]:
                self.swap(PackageId(package))  # the row was written, the folders were not yet swapped
            elif suffix == "old" and package in infos and not (self.folder / package).exists():
                path.rename(self.folder / package)  # killed between the two renames; .building comes before .old
            elif suffix or package not in infos:
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path.name)
        return removed

    def swap(self, package: PackageId) -> None:
        """An edited package's new folder takes the place of the old one."""
        current, old = self.folder / package, self.folder / f"{package}{OLD}"
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            current.rename(old)
        (self.folder / f"{package}{BUILDING}").rename(current)
        sync_folder(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _open(self, package: str, name: str, size: int | None) -> BinaryIO:
        try:
            file = (self.folder / package / name).open("rb")
        except OSError as error:
            raise Refusal(Kind.BUSY, f"{name} of package {package} cannot be read: {error.strerror}.") from error
        if size is not None and os.fstat(file.fileno()).st_size != size:
            file.close()
            raise Refusal(Kind.BUSY, f"{name} of package {package} is damaged on the disk.")
        return file


class Building:
    """A package's folder on its way to the shelf."""

    def __init__(self, shelf: Path, path: Path, package: PackageId) -> None:
        self.shelf = shelf
        self.path = path
        self.package = package
        self.finished = False

    def cut(self, source: BinaryIO, size: int, fragment_size: int, file_format: str, progress: Progress) -> Cut:
        """Write `source` (exactly `size` bytes) as fragments. Memory stays at one READ. Raises Refusal."""
        fragments = count(size, fragment_size)
        free = shutil.disk_usage(self.path).free
        if free < size + RESERVE:
            raise Refusal(
                Kind.TOO_LARGE,
                f"file: it needs {show_size(size + RESERVE)} on the server's disk and {show_size(free)} are free.",
                "file",
            )
        whole_md5 = hashlib.md5(usedforsecurity=False)  # what genuine agents verify (protocol.md 4)
        whole = hashlib.sha256()
        pieces, done = [], 0
        for number in range(1, fragments + 1):
            digest, left = hashlib.sha256(), length(number, size, fragment_size)
            pieces_size = left
            with self._new(f"{self.package}-{number}") as out:
                while left:
                    data = source.read(min(READ, left))
                    if not data:
                        raise Refusal(Kind.CONFLICT, "file: it became shorter while it was read; build again.", "file")
                    out.write(data)
                    digest.update(data)
                    whole.update(data)
                    whole_md5.update(data)
                    left -= len(data)
                    done += len(data)
                    progress(done, size)
            pieces.append(Piece(pieces_size, digest.hexdigest()))
        if source.read(1):
            raise Refusal(Kind.CONFLICT, "file: it became longer while it was read; build again.", "file")
        payload = Payload(size, fragment_size, fragments, whole_md5.hexdigest(), whole.hexdigest(), file_format)
        return Cut(payload, tuple(pieces))

    def take_over(self) -> None:
        """Link the fragments of the package as it stands into this folder; an edit without a new file."""
        for file in (self.shelf / self.package).iterdir():
            if file.name.startswith(f"{self.package}-"):
                try:
                    os.link(file, self.path / file.name)
                except OSError:  # a file system without hard links
                    shutil.copyfile(file, self.path / file.name)

    def put(self, name: str, data: bytes) -> None:
        """Write `info` or `manifest`."""
        with self._new(name) as out:
            out.write(data)

    def seal(self) -> None:
        """All bytes are on the disk; the folder now waits for its row and `Shelf.swap`."""
        sync_folder(self.path)
        sync_folder(self.shelf)
        self.finished = True

    def publish(self) -> None:
        """All bytes are on the disk and stand under the package's own name; the row comes last."""
        sync_folder(self.path)
        self.path.rename(self.shelf / self.package)
        sync_folder(self.shelf)
        self.finished = True

    @contextlib.contextmanager
    def _new(self, name: str) -> Iterator[BinaryIO]:
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Tell sweeps that a live process works in this folder, whatever the folder is called meanwhile."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    if fcntl is None:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _info_digest(path: Path) -> str:
    try:
        return hashlib.sha256((path / "info").read_bytes()).hexdigest()
    except OSError:
        return ""
