"""The fragments directory: receive a file in pieces, hand the pieces out, sweep what no row names.

Files and rows agree by order: bytes first, row last; row away first, bytes later. An edit makes its bytes in
`<id>.building`, then the row, then swaps the folders. The manifest is written last and names all the rest, so the
digest of it in the row says which folder the row speaks of: readers look there, and a sweep after a kill finishes or
drops what was begun. Blocking; call it through a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.disk import sync_above, sync_folder
from appliance.domain.fragments import count, length
from appliance.domain.package import PackageId, Payload, Piece, is_package_id
from appliance.domain.refusal import Kind, Refusal
from appliance.store.digests import Digests, Whole
from appliance.store.joined import forget
from appliance.store.proofs import Proofs
from appliance.store.uploads import Parts, Uploads, must_hold

try:
    import fcntl
except ImportError:  # Windows: a sweep there finds no lock and relies on one server per data directory
    fcntl = None  # type: ignore[assignment]

READ = 1024 * 1024
SETTLE = 64 * 1024 * 1024  # bytes of one file that wait for the disk
BUILDING = ".building"
OLD = ".old"

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Cut:
    """A file on the shelf, in fragments."""

    payload: Payload
    pieces: tuple[Piece, ...]


class Shelf:
    """The folder `fragments/`, one folder below it for each package; beside them the files of drafts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads = Uploads(folder)
        self.proofs = Proofs()

    def prepare(self) -> None:
        """Make the folder, for its owner only. Where it is there, all above it are on the disk."""
        if self.folder.is_dir():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        sync_above(self.folder.parent)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.folder.parent)

    @contextlib.contextmanager
    def building(self, package: PackageId) -> Iterator[Building]:
        """A new folder for a package; unless it was finished it is gone at the end of the block.

        Raises Refusal where another process is at work on the package, or where writing fails.
        """
        path = self.folder / f"{package}{BUILDING}"
        try:
            with _held(path):
                build = Building(self.folder, path, package)
                try:
                    yield build
                finally:
                    if not build.finished:
                        shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            raise Refusal(
                Kind.CONFLICT,
                "package {package} could not be written to {folder}: {met}.",
                package=package,
                folder=self.folder,
                met=error.strerror or error,
            ) from error

    def open_fragment(self, package: str, number: int, size: int, manifest: str) -> BinaryIO:
        """A fragment's file, its size checked; `manifest` is the row's digest. Raises Refusal: gone or damaged."""
        name = f"{package}-{number}"
        file = self._open(package, name, manifest)
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            raise damaged(package, name)
        return file

    def read(self, package: str, name: str, largest: int, sha256: str, manifest: str) -> bytes:
        """A small file of a package, `info` or `manifest`, its digest checked. Raises Refusal: gone or damaged."""
        with self._open(package, name, manifest) as file:
            data = file.read(largest)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise damaged(package, name)
        return data

    def remove(self, package: PackageId) -> None:
        """Take a package's files away; the row is gone already."""
        for suffix in ("", BUILDING, OLD):
            shutil.rmtree(self.folder / f"{package}{suffix}", ignore_errors=True)

    def idle(self) -> list[str]:
        """The folders in which no live process works.

        Read the rows after this and not before: else a build that ends in between is taken for an orphan.
        """
        return [path.name for path in sorted(self.folder.iterdir()) if _is_ours(path) and not _is_held(path)]

    def sweep(self, idle: Iterable[str], manifests: Mapping[str, str]) -> list[str]:
        """Put right what a kill left behind: the names removed. `manifests`: the SHA-256 that every row names."""
        removed = []
        for name in idle:
            path = self.folder / name
            with _claimed(path) as claimed:
                if claimed and path.is_dir() and self._put_right(path, manifests):
                    removed.append(name)
        return removed

    def _put_right(self, path: Path, manifests: Mapping[str, str]) -> bool:
        """Finish, keep or remove what lies there: whether it was removed."""
        package, _, suffix = path.name.partition(".")
        current = self.folder / package
        if suffix == "building" and package in manifests and _manifest_digest(path) == manifests[package]:
            self.swap(PackageId(package))  # the row was written, the folders were not yet swapped
        elif suffix == "old" and package in manifests and not current.exists():
            path.rename(current)  # killed between the two renames; .building comes before .old
        elif suffix or package not in manifests:
            shutil.rmtree(path, ignore_errors=True)
            return True
        return False

    def swap(self, package: PackageId) -> None:
        """An edited package's new folder takes the place of the old one."""
        current, old = self.folder / package, self.folder / f"{package}{OLD}"
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            current.rename(old)
        (self.folder / f"{package}{BUILDING}").rename(current)
        sync_folder(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _open(self, package: str, name: str, manifest: str) -> BinaryIO:
        for again in (True, False):
            folder, fresh = self.folder / package, self.folder / f"{package}{BUILDING}"
            if fresh.exists() and _manifest_digest(fresh) == manifest:
                folder = fresh  # an edit whose row is written and whose folders are not swapped yet
            try:
                return (folder / name).open("rb")
            except OSError as error:
                if again and isinstance(error, FileNotFoundError):
                    continue  # the folders were swapped between the look and the opening
                raise Refusal(
                    Kind.BUSY,
                    "{name} of package {package} cannot be read: {met}.",
                    name=name,
                    package=package,
                    met=error.strerror,
                ) from error
        raise AssertionError("unreachable")


class Building:
    """A package's folder on its way to the shelf."""

    def __init__(self, shelf: Path, path: Path, package: PackageId) -> None:
        self.shelf = shelf
        self.path = path
        self.package = package
        self.finished = False

    def cut(
        self,
        source: BinaryIO,
        size: int,
        fragment_size: int,
        file_format: str,
        progress: Progress,
        *,
        parts: Parts | None = None,
    ) -> Cut:
        """Write `source` (exactly `size` bytes) as fragments. Memory stays at a few READs. Raises Refusal.

        `parts`: the source is an upload, whose pieces become the fragments where they have the right size.
        """
        fragments = count(size, fragment_size)
        known = parts.digests if parts else None
        if parts and parts.size == size and (parts.piece_size == fragment_size or len(parts.files) == fragments == 1):
            if self._took(parts):
                if known:
                    progress(size, size)
                    pieces = [Piece(length(n, size, fragment_size), s) for n, s in enumerate(known.pieces, 1)]
                    return _cut(known, size, pieces, fragment_size, file_format)
            else:
                parts = None
        else:
            parts = None
        if not parts:
            must_hold(self.path, size)
        pieces, done = [], 0
        with Whole(known, one=fragments == 1) as whole:
            for number in range(1, fragments + 1):
                digest, left = hashlib.sha256(), length(number, size, fragment_size)
                pieces_size = left
                with self._new(f"{self.package}-{number}") if not parts else contextlib.nullcontext() as out:
                    while left:
                        data = source.read(min(READ, left))
                        if not data:
                            raise Refusal(Kind.CONFLICT, "it became shorter while it was read; build again.", "file")
                        whole.update(data)
                        if out:
                            out.write(data)
                            if left > len(data) and (left - len(data)) % SETTLE < len(data):
                                _settle(out)
                        digest.update(data)
                        left -= len(data)
                        done += len(data)
                        progress(done, size)
                pieces.append(Piece(pieces_size, digest.hexdigest()))
            if source.read(1):
                raise Refusal(Kind.CONFLICT, "it became longer while it was read; build again.", "file")
            return _cut(whole.digests(pieces[0].sha256), size, pieces, fragment_size, file_format)

    def _took(self, parts: Parts) -> bool:
        """Give the pieces of an upload their second name, as fragments; False on a file system without hard links."""
        made: list[Path] = []
        try:
            for number, file in enumerate(parts.files, 1):
                fragment = self.path / f"{self.package}-{number}"
                os.link(file, fragment)
                made.append(fragment)
        except OSError:
            for fragment in made:
                fragment.unlink()
            return False
        for fragment in made:
            descriptor = os.open(fragment, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            except OSError:  # nobody knows what is on the disk: the upload is to be sent again
                shutil.rmtree(parts.files[0].parent, ignore_errors=True)
                raise
            finally:
                os.close(descriptor)
        return True

    def take_over(self) -> None:
        """Link the fragments of the package as it stands into this folder; an edit without a new file."""
        for file in (self.shelf / self.package).iterdir():
            if file.name.startswith(f"{self.package}-"):
                try:
                    os.link(file, self.path / file.name)
                except OSError:  # a file system without hard links
                    with file.open("rb") as source, self._new(file.name) as copy:
                        shutil.copyfileobj(source, copy, READ)

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
            _settle(out)


def _settle(out: BinaryIO) -> None:
    """On the disk, and no longer in the memory that other files are in want of."""
    out.flush()
    os.fsync(out.fileno())
    forget(out.fileno())


def _cut(whole: Digests, size: int, pieces: Sequence[Piece], fragment_size: int, file_format: str) -> Cut:
    return Cut(Payload(size, fragment_size, len(pieces), whole.md5, whole.sha256, file_format), tuple(pieces))


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make the folder, and tell others that a live process works in it, whatever it is called meanwhile."""
    while True:
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            with _claimed(path) as claimed:
                if not claimed:
                    raise Refusal(
                        Kind.BUSY,
                        "package {stem} is being edited by somebody else; try again when that is done.",
                        stem=path.stem,
                    ) from None
                shutil.rmtree(path, ignore_errors=True)  # a kill left it
            continue
        try:
            descriptor = _lock(path)
        except OSError:
            path.rmdir()
            raise
        if descriptor is not None:
            break
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the folder, -1 on systems without; None where another process removed it."""
    if fcntl is None:
        return -1
    try:
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except FileNotFoundError:
        return None
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Whether no live process works in this folder; during the block none begins to."""
    if fcntl is None:
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    with _claimed(path) as claimed:
        return not claimed


def _is_ours(path: Path) -> bool:
    package, _, suffix = path.name.partition(".")
    return is_package_id(package) and f".{suffix}" in (".", BUILDING, OLD) and path.is_dir()


def _manifest_digest(folder: Path) -> str:
    try:
        return hashlib.sha256((folder / "manifest").read_bytes()).hexdigest()
    except OSError:
        return ""


def damaged(package: str, name: str) -> Refusal:
    """What is said of a file whose bytes are not those that were built."""
    return Refusal(Kind.BUSY, "{name} of package {package} is damaged on the disk.", name=name, package=package)
