"""A disk as it may be after a power cut: what was synced is there, and of the rest any part.

The rules are POSIX's strictest. fsync of a file keeps its bytes, its length and its mode, and nothing else: its name is
kept by fsync of the folder that it stands in. What was not synced may have reached the disk in any order, in part, or
torn at a sector. Journaling file systems promise more: they order changes of names, and give a new file its name with
its first fsync. A file's times are not looked at.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

SECTOR = 512

# What of a node's waiting changes reached the disk: ("all",) ("none",) ("first", n) ("but", n) ("only", n)
# of a file also ("zeros",): its length and not its bytes, and ("torn", n, start, end): all but these bytes of write n
Fate: TypeAlias = tuple[str | int, ...]
PLAIN = 5  # of the losses come first: they are those of all files and folders alike
ALL: Fate = ("all",)
NONE: Fate = ("none",)
ZEROS: Fate = ("zeros",)
Tree: TypeAlias = dict[str, tuple[int, bytes | None]]  # mode and bytes by path, None for a folder


@dataclass(frozen=True)
class Write:
    """Bytes that come to stand at an offset; None: the file ends there."""

    moment: int
    at: int
    data: bytes | None


@dataclass
class File:
    """One file, whatever its names."""

    mode: int
    number: int
    kept: bytes = b""
    kept_mode: int = 0
    waiting: list[Write] = field(default_factory=list)
    live: bytearray = field(default_factory=bytearray)
    _known: dict[Fate, bytes] = field(default_factory=dict)  # its bytes after what may happen now

    def change(self, write: Write) -> None:
        """Something is written."""
        self._known.clear()
        self.waiting.append(write)
        _apply(self.live, write)

    def sync(self, moment: int) -> None:
        """All that was written before is on the disk."""
        self._known.clear()
        kept = bytearray(self.kept)
        for write in self.waiting:
            if write.moment < moment:
                _apply(kept, write)
        self.kept, self.kept_mode = bytes(kept), self.mode
        self.waiting = [write for write in self.waiting if write.moment >= moment]

    @property
    def is_clean(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting and self.mode == self.kept_mode

    def after(self, fate: Fate) -> bytes:
        """Its bytes after a power cut."""
        if not self.waiting:
            return self.kept
        if fate not in self._known:
            self._known[fate] = self._image(fate)
        return self._known[fate]

    def _image(self, fate: Fate) -> bytes:
        image = bytearray(self.kept)
        for number, write in enumerate(self.waiting):
            if fate == ZEROS and write.data is not None:
                image += bytes(max(0, write.at + len(write.data) - len(image)))
            elif fate[:2] == ("torn", number):
                for part in _torn(write, int(fate[2]), int(fate[3])):
                    _apply(image, part)
            elif _reached(fate, number):
                _apply(image, write)
        return bytes(image)


@dataclass(frozen=True)
class Entry:
    """One change of a folder: which names mean what from then on; None: nothing."""

    moment: int
    said: str
    names: tuple[tuple[str, Node | None], ...]


@dataclass
class Folder:
    """One folder."""

    mode: int
    number: int
    kept: dict[str, Node] = field(default_factory=dict)
    kept_mode: int = 0
    waiting: list[Entry] = field(default_factory=list)
    live: dict[str, Node] = field(default_factory=dict)

    def change(self, entry: Entry) -> None:
        """A name comes or goes."""
        self.waiting.append(entry)
        _name(self.live, entry)

    def sync(self, moment: int) -> None:
        """All its names are on the disk."""
        for entry in self.waiting:
            if entry.moment < moment:
                _name(self.kept, entry)
        self.kept_mode = self.mode
        self.waiting = [entry for entry in self.waiting if entry.moment >= moment]

    @property
    def is_clean(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting and self.mode == self.kept_mode

    def after(self, fate: Fate) -> dict[str, Node]:
        """Its names after a power cut."""
        names = dict(self.kept)
        for number, entry in enumerate(self.waiting):
            if _reached(fate, number):
                _name(names, entry)
        return names


Node: TypeAlias = File | Folder


def _apply(image: bytearray, write: Write) -> None:
    if write.data is None:
        del image[write.at :]
        return
    if write.at > len(image):
        image += bytes(write.at - len(image))
    image[write.at : write.at + len(write.data)] = write.data


def _torn(write: Write, start: int, end: int) -> Iterator[Write]:
    """A write without its bytes from `start` to `end`, both counted from the beginning of the file."""
    data = write.data or b""
    for at, part in ((write.at, data[: start - write.at]), (end, data[end - write.at :])):
        if part:
            yield Write(write.moment, at, part)


def _name(names: dict[str, Node], entry: Entry) -> None:
    for name, node in entry.names:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _reached(fate: Fate, number: int) -> bool:
    how, count = fate[0], fate[1] if len(fate) > 1 else 0
    if how == "first":
        return number < int(count)
    if how == "only":
        return number == count
    return how != "none" and not (how == "but" and number == count)


@dataclass(frozen=True)
class Loss:
    """What one power cut does: to files, to folders, and to some of them in particular."""

    said: str
    files: Fate
    folders: Fate
    others: tuple[tuple[int, Fate], ...] = ()  # by a node's number


class Disk:
    """The folder `root` and all below it, which at the beginning is as in `folder`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self.nodes: list[Node] = []
        self.top = self._loaded(folder)

    def _loaded(self, path: Path) -> Folder:
        folder = self.new_folder(path.stat().st_mode & 0o7777)
        for entry in sorted(path.iterdir()):
            assert not entry.is_symlink()
            if entry.is_dir():
                folder.kept[entry.name] = self._loaded(entry)
            else:
                file = self.new_file(entry.stat().st_mode & 0o7777)
                file.kept = entry.read_bytes()
                file.live[:] = file.kept
                folder.kept[entry.name] = file
        folder.live = dict(folder.kept)
        return folder

    def new_file(self, mode: int) -> File:
        """A file that has no name yet."""
        file = File(mode, len(self.nodes), kept_mode=mode)
        self.nodes.append(file)
        return file

    def new_folder(self, mode: int) -> Folder:
        """A folder that has no name yet."""
        folder = Folder(mode, len(self.nodes), kept_mode=mode)
        self.nodes.append(folder)
        return folder

    def now(self) -> Tree:
        """All of it as a program sees it."""
        return self.after(Loss("nothing", ALL, ALL))

    def after(self, loss: Loss) -> Tree:
        """All of it as the next start finds it."""
        others = dict(loss.others)
        tree: Tree = {}

        def walk(folder: Folder, path: str) -> None:
            fate = others.get(folder.number, loss.folders)
            tree[path] = (folder.kept_mode if fate == NONE else folder.mode), None
            for name, node in folder.after(fate).items():
                below = f"{path}/{name}" if path else name
                if isinstance(node, Folder):
                    walk(node, below)
                else:
                    fate_of = ALL if node.is_clean else others.get(node.number, loss.files)
                    tree[below] = (node.kept_mode if fate_of == NONE else node.mode), node.after(fate_of)

        walk(self.top, "")
        return tree

    def losses(self) -> Iterator[Loss]:
        """What a power cut may do now: the plain kinds first, then each waiting change by itself."""
        yield Loss("nothing that waited reached the disk", NONE, NONE)
        yield Loss("all that waited reached the disk", ALL, ALL)
        yield Loss("names reached the disk, bytes did not", NONE, ALL)
        yield Loss("names and lengths reached the disk, bytes did not", ZEROS, ALL)
        yield Loss("bytes reached the disk, names did not", ALL, NONE)
        names = self._names()
        for node in self.nodes:
            where = names.get(node.number)
            if where is None or node.is_clean:
                continue
            fates = _fates_of_file(node) if isinstance(node, File) else _fates_of_folder(node)
            for said, fate, files, folders in fates:
                yield Loss(f"{where or 'the folder itself'}: {said}", files, folders, ((node.number, fate),))

    def _names(self) -> dict[int, str]:
        """One name of each node that has any, now or after a power cut."""
        names: dict[int, str] = {}

        def walk(node: Node, path: str) -> None:
            if node.number in names:
                return
            names[node.number] = path
            if isinstance(node, Folder):
                known = {**node.kept, **node.live}
                for entry in node.waiting:
                    known |= {name: found for name, found in entry.names if found is not None and name not in known}
                for name, found in known.items():
                    walk(found, f"{path}/{name}" if path else name)

        walk(self.top, "")
        return names


def _fates_of_file(file: File) -> Iterator[tuple[str, Fate, Fate, Fate]]:
    """What may become of one file: in words, its own fate, that of all other files, that of the folders."""
    count = len(file.waiting)
    yield "its bytes alone did not reach the disk", NONE, ALL, ALL
    yield "its length did and its bytes did not", ZEROS, ALL, ALL
    yield "its bytes alone reached the disk", ALL, NONE, ALL
    for number in _some(count):
        if count > 1:
            yield f"write {number + 1} of {count} did not reach the disk", ("but", number), ALL, ALL
            yield f"only write {number + 1} of {count} did", ("only", number), ALL, ALL
            yield f"only the first {number} of {count} writes did", ("first", number), ALL, ALL
    torn = {max(range(count), key=lambda n: len(file.waiting[n].data or b"")), count - 1} if count else set()
    for number in sorted(torn):
        write = file.waiting[number]
        end = write.at + len(write.data or b"")
        cuts = list(range((write.at // SECTOR + 1) * SECTOR, end, SECTOR))
        if not cuts:
            continue  # within one sector
        middle = cuts[len(cuts) // 2]
        for start, stop in ((cuts[0], end), (cuts[-1], end), (write.at, cuts[0]), (middle, min(middle + SECTOR, end))):
            said = f"write {number + 1} of {count} is torn, bytes {start} to {stop} are missing"
            yield said, ("torn", number, start, stop), ALL, ALL


def _fates_of_folder(folder: Folder) -> Iterator[tuple[str, Fate, Fate, Fate]]:
    for number in _some(len(folder.waiting)):
        said = folder.waiting[number].said
        yield f"'{said}' did not reach the disk", ("but", number), ALL, ALL
        yield f"of the names '{said}' alone did", ("only", number), ALL, NONE
        yield f"'{said}' alone did", ("only", number), NONE, NONE


def _some(count: int) -> list[int]:
    """All of a few; of many the first, the last, and one in the middle."""
    return list(range(count)) if count <= 4 else [0, count // 2, count - 1]


def digest(tree: Tree) -> str:
    """The same for the same state of a disk."""
    whole = hashlib.blake2b(digest_size=16)
    for path, (mode, data) in sorted(tree.items()):
        told = b"" if data is None else _digest(data)
        whole.update(f"{path}\0{mode:o}\0{len(told)}\0".encode() + told)
    return whole.hexdigest()


@lru_cache(maxsize=500)
def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def put(tree: Tree, target: Path) -> None:
    """A state of the disk as real files."""
    for path, (mode, data) in sorted(tree.items()):
        where = target / path
        if data is None:
            where.mkdir(exist_ok=True)
        else:
            where.write_bytes(data)
        os.chmod(where, mode)


def tree_of(root: Path) -> Tree:
    """Real files as a state of the disk."""
    tree: Tree = {"": (root.stat().st_mode & 0o7777, None)}
    for path in root.rglob("*"):
        data = path.read_bytes() if path.is_file() else None
        tree[str(path.relative_to(root))] = path.stat().st_mode & 0o7777, data
    return tree


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The paths that are not the same in both."""
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))


def emptied(folder: Path) -> Path:
    """A folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
