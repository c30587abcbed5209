"""What a program did to a folder, replayed on a Disk call by call. A call that this does not know fails the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.fakes.powercut import Disk, Entry, File, Folder, Node, Write
from tests.fakes.traced import UMASK, Call, strings

FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
# a power cut is looked at right before each of these
DECISIVE = frozenset({"fsync", "fdatasync", "sync", "syncfs", "rename", "renameat", "renameat2"}) | frozenset(
    {"unlink", "unlinkat", "rmdir"}
)
# they change nothing that a disk keeps; times, owners and locks are not looked at
HARMLESS = frozenset(
    {"access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs"}
    | {"readlink", "readlinkat", "getdents64", "pread64", "preadv", "readahead", "fadvise64", "sync_file_range"}
    | {"flock", "getcwd", "utimensat", "chown", "fchown", "lchown", "fchownat"}
)
UNKNOWN = "this disk does not know:"
LOST_INDEX = "-shm"  # SQLite maps it into memory: what it writes there is not seen, and after a power cut not read


@dataclass
class Open:
    """An open file, shared by all descriptors that were made from one another."""

    node: Node | None  # None: somewhere else
    path: str
    offset: int = 0
    appends: bool = False


@dataclass(frozen=True)
class Held:
    """A descriptor of one process."""

    open: Open
    ends_with_exec: bool = False


@dataclass(frozen=True)
class Moment:
    """Where the power may be cut: before `call`, or at the end. `said`: the marks up to here, `says`: the next one."""

    call: str
    said: tuple[str, ...]
    says: str = ""


Table = dict[int, Held]


class Recorded:
    """One run of a program, whose every line in the file `marks` is a mark."""

    def __init__(self, disk: Disk, calls: Sequence[Call], marks: Path) -> None:
        self.disk = disk
        self._calls = calls
        self._marks = marks
        self._said: list[str] = []
        self._parents = {call.result: call for call in calls if call.name in FORKS and call.result > 0}
        self._tables: dict[int, Table] = {}
        self._places: dict[int, str] = {}  # the working directory of each process that left its parent's

    def moments(self) -> Iterator[Moment]:
        """Replay all; the disk stands at each moment when it is told."""
        for call in self._calls:
            if call.name == "write" and self._is_mark(call):
                says = call.data(1).decode().strip()
                yield Moment(f"somebody is told: {says}", tuple(self._said), says)
                self._said.append(says)
                continue
            if call.name in DECISIVE and not call.error and self._touches(call):
                yield Moment(f"{call.name} {' '.join(self._paths(call))}".strip(), tuple(self._said))
            self._do(call)
        yield Moment("the end", tuple(self._said))

    def _paths(self, call: Call) -> list[str]:
        """What of the disk a call speaks of, by its name below the root; the root itself is a dot."""
        held = self._held(call, 0)
        found = [held.path] if held and held.node else []
        for at, value in enumerate(call.values):
            if value.startswith('"') and (path := self._below(call, at)) is not None:
                found.append(path)
        return [path or "." for path in found]

    def _touches(self, call: Call) -> bool:
        return bool(self._paths(call)) or call.name == "sync"

    def _is_mark(self, call: Call) -> bool:
        held = self._held(call, 0)
        return held is not None and held.path == str(self._marks)

    # Descriptors

    def _table(self, process: int) -> Table:
        if process not in self._tables:
            call = self._parents.get(process)
            self._tables[process] = {}
            if call is not None:
                table = self._table(call.process)
                self._tables[process] = table if any("CLONE_FILES" in value for value in call.values) else dict(table)
        return self._tables[process]

    def _held(self, call: Call, at: int) -> Open | None:
        value = call.values[at] if len(call.values) > at else ""
        held = self._table(call.process).get(int(value)) if value.isdigit() else None
        return held.open if held else None

    def _open_node(self, call: Call, kind: type[File]) -> tuple[Open, File] | None:
        held = self._held(call, 0)
        return (held, held.node) if held is not None and isinstance(held.node, kind) else None

    # Paths

    def _below(self, call: Call, at: int) -> str | None:
        """A path relative to the root; None for one that leads elsewhere."""
        texts = strings(call.values[at])
        if len(texts) != 1:
            return None
        path = os.path.join(self._base(call, at), os.fsdecode(texts[0]))
        inside = os.path.relpath(os.path.normpath(path), self.disk.root)
        return None if inside.startswith("..") else "" if inside == "." else inside

    def _base(self, call: Call, at: int) -> str:
        held = self._held(call, at - 1) if at else None
        if held is None:
            return self._place_of(call.process)
        return str(self.disk.root / held.path) if held.node else held.path

    def _place_of(self, process: int) -> str:
        if process not in self._places:
            parent = self._parents.get(process)
            self._places[process] = self._place_of(parent.process) if parent else "/"
        return self._places[process]

    def _place(self, call: Call, at: int) -> tuple[Folder, str] | None:
        """The folder and the name that a path ends in; None elsewhere, or where there is no such folder."""
        path = self._below(call, at)
        if not path:
            return None
        folder = self._node(str(PurePosixPath(path).parent))
        return (folder, PurePosixPath(path).name) if isinstance(folder, Folder) else None

    def _node(self, path: str) -> Node | None:
        node: Node | None = self.disk.top
        for name in PurePosixPath(path).parts:
            node = node.live.get(name) if isinstance(node, Folder) else None
        return node

    # Calls

    def _do(self, call: Call) -> None:
        if call.error or call.result < 0:
            return
        verb: Callable[[Call], None] | None = getattr(self, f"_on_{call.name}", None)
        if verb is not None:
            verb(call)
        else:
            fine = call.name in HARMLESS or call.name in FORKS or not self._touches(call)
            assert fine, f"{UNKNOWN} {call.name} {self._paths(call)}"

    def _on_open(self, call: Call, at: int = 0) -> None:
        flags = set(call.values[at + 1].split("|"))
        path, node = self._below(call, at), None
        if path is not None:
            assert not flags & {"O_SYNC", "O_DSYNC", "O_TMPFILE", "O_DIRECT"}, f"{UNKNOWN} {path} opened like {flags}"
            node = self._node(path)
            if node is None:
                place = self._place(call, at)
                assert place, f"{path} was opened in a folder that is not known"
                assert "O_CREAT" in flags, f"{path} was opened and is not known"
                node = self.disk.new_file(int(call.values[at + 2], 8) & ~UMASK)
                place[0].change(Entry(call.ended, f"create {path}", ((place[1], node),)))
            if "O_TRUNC" in flags and isinstance(node, File) and node.live:
                node.change(Write(call.ended, 0, None))
        else:
            path = os.path.normpath(os.path.join(self._base(call, at), os.fsdecode(strings(call.values[at])[0])))
        made = Open(node, path, appends="O_APPEND" in flags)
        self._table(call.process)[call.result] = Held(made, "O_CLOEXEC" in flags)

    def _on_openat(self, call: Call) -> None:
        self._on_open(call, 1)

    def _on_close(self, call: Call) -> None:
        self._table(call.process).pop(call.number(0), None)

    def _on_dup(self, call: Call, ends_with_exec: bool = False) -> None:
        table = self._table(call.process)
        held = table.get(call.number(0))
        table.pop(call.result, None)
        if held is not None:
            table[call.result] = Held(held.open, ends_with_exec)

    def _on_dup2(self, call: Call) -> None:
        self._on_dup(call)

    def _on_dup3(self, call: Call) -> None:
        self._on_dup(call, call.has(2, "O_CLOEXEC"))

    def _on_fcntl(self, call: Call) -> None:
        if call.values[1] in ("F_DUPFD", "F_DUPFD_CLOEXEC"):
            self._on_dup(call, call.values[1] == "F_DUPFD_CLOEXEC")
        elif call.values[1] == "F_SETFD" and (held := self._held(call, 0)):
            self._table(call.process)[call.number(0)] = Held(held, call.has(2, "FD_CLOEXEC"))

    def _on_close_range(self, call: Call) -> None:
        table = self._table(call.process)
        assert call.values[2] in ("0", "CLOSE_RANGE_CLOEXEC"), call.values
        for descriptor in [known for known in table if call.number(0) <= known <= call.number(1)]:
            held = table.pop(descriptor)
            if call.values[2] != "0":
                table[descriptor] = Held(held.open, True)

    def _on_execve(self, call: Call) -> None:
        table = self._table(call.process)
        self._tables[call.process] = {number: held for number, held in table.items() if not held.ends_with_exec}

    def _on_chdir(self, call: Call) -> None:
        self._places[call.process] = os.path.normpath(os.path.join(self._base(call, 0), call.text(0)))

    def _on_ioctl(self, call: Call) -> None:
        held = self._held(call, 0)
        if held and call.values[1] == "FIOCLEX":
            self._table(call.process)[call.number(0)] = Held(held, True)
        else:
            assert self._open_node(call, File) is None or call.values[1] == "TCGETS", call.values

    def _on_mmap(self, call: Call) -> None:
        held = self._held(call, 4)
        if held and held.node and call.has(3, "MAP_SHARED") and call.has(2, "PROT_WRITE"):
            assert held.path.endswith(LOST_INDEX), f"{UNKNOWN} {held.path} written to through memory"

    def _on_read(self, call: Call) -> None:
        if held := self._held(call, 0):
            held.offset += call.result

    def _on_readv(self, call: Call) -> None:
        self._on_read(call)

    def _on_lseek(self, call: Call) -> None:
        if held := self._held(call, 0):
            held.offset = call.result

    def _on_write(self, call: Call) -> None:
        if found := self._open_node(call, File):
            held, file = found
            at = len(file.live) if held.appends else held.offset
            file.change(Write(call.ended, at, call.data(1)[: call.result]))
            held.offset = at + call.result

    def _on_writev(self, call: Call) -> None:
        self._on_write(call)

    def _on_pwrite64(self, call: Call) -> None:
        if found := self._open_node(call, File):
            assert not found[0].appends
            found[1].change(Write(call.ended, call.number(3), call.data(1)[: call.result]))

    def _on_pwritev(self, call: Call) -> None:
        self._on_pwrite64(call)

    def _on_pwritev2(self, call: Call) -> None:
        assert call.values[4:] == ("0",), call.values
        self._on_pwrite64(call)

    def _on_ftruncate(self, call: Call) -> None:
        if found := self._open_node(call, File):
            self._cut(call, found[1])

    def _on_truncate(self, call: Call) -> None:
        path = self._below(call, 0)
        node = self._node(path) if path else None
        if isinstance(node, File):
            self._cut(call, node)

    def _cut(self, call: Call, file: File) -> None:
        size = call.number(1)
        if size < len(file.live):
            file.change(Write(call.ended, size, None))
        elif size > len(file.live):
            file.change(Write(call.ended, len(file.live), bytes(size - len(file.live))))

    def _on_copy_file_range(self, call: Call) -> None:
        assert self._open_node(call, File) is None or call.values[1] == call.values[3] == "NULL", call.values
        self._copied(call, source=0, target=2)

    def _on_sendfile(self, call: Call) -> None:
        self._copied(call, source=1, target=0)

    def _copied(self, call: Call, *, source: int, target: int) -> None:
        there, here = self._held(call, target), self._held(call, source)
        if there is None or not isinstance(there.node, File):
            return
        assert here is not None
        start = here.offset
        if call.name == "sendfile" and call.values[2] != "NULL":
            start = int(call.values[2].partition("]")[0].strip("["))
        else:
            here.offset += call.result
        whole = bytes(here.node.live) if isinstance(here.node, File) else Path(here.path).read_bytes()
        there.node.change(Write(call.ended, there.offset, whole[start : start + call.result]))
        there.offset += call.result

    # Names

    def _on_mkdir(self, call: Call, at: int = 0) -> None:
        if place := self._place(call, at):
            made = self.disk.new_folder(int(call.values[at + 1], 8) & ~UMASK)
            self._named(call, place, made, f"make the folder {self._below(call, at)}")

    def _on_mkdirat(self, call: Call) -> None:
        self._on_mkdir(call, 1)

    def _on_unlink(self, call: Call, at: int = 0) -> None:
        if place := self._place(call, at):
            self._named(call, place, None, f"remove {self._below(call, at)}")

    def _on_unlinkat(self, call: Call) -> None:
        self._on_unlink(call, 1)

    def _on_rmdir(self, call: Call) -> None:
        self._on_unlink(call)

    def _on_link(self, call: Call, old: int = 0, new: int = 1) -> None:
        place, path = self._place(call, new), self._below(call, old)
        if place:
            node = self._node(path) if path else None
            assert node is not None, f"{call.values}: a second name for a file from elsewhere"
            self._named(call, place, node, f"link {path} to {self._below(call, new)}")

    def _on_linkat(self, call: Call) -> None:
        self._on_link(call, 1, 3)

    def _on_rename(self, call: Call, old: int = 0, new: int = 1) -> None:
        here, there = self._place(call, old), self._place(call, new)
        if here is None and there is None:
            return
        assert here, f"{call.values}: from elsewhere"
        assert there, f"{call.values}: to elsewhere"
        said = f"rename {self._below(call, old)} to {self._below(call, new)}"
        node = here[0].live[here[1]]
        if here[0] is there[0]:
            here[0].change(Entry(call.ended, said, ((here[1], None), (there[1], node))))
        else:
            self._named(call, there, node, f"{said}, the new name")
            self._named(call, here, None, f"{said}, the old name")

    def _on_renameat(self, call: Call) -> None:
        self._on_rename(call, 1, 3)

    def _on_renameat2(self, call: Call) -> None:
        assert call.values[4] in ("0", "RENAME_NOREPLACE"), call.values
        self._on_rename(call, 1, 3)

    @staticmethod
    def _named(call: Call, place: tuple[Folder, str], node: Node | None, said: str) -> None:
        place[0].change(Entry(call.ended, said, ((place[1], node),)))

    def _on_chmod(self, call: Call, at: int = 0) -> None:
        path = self._below(call, at)
        node = self._node(path) if path is not None else None
        if node is not None:
            node.mode = int(call.values[at + 1], 8)

    def _on_fchmodat(self, call: Call) -> None:
        self._on_chmod(call, 1)

    def _on_fchmod(self, call: Call) -> None:
        held = self._held(call, 0)
        if held is not None and held.node is not None:
            held.node.mode = int(call.values[1], 8)

    # What is on the disk

    def _on_fsync(self, call: Call) -> None:
        held = self._held(call, 0)
        if held is not None and held.node is not None:
            held.node.sync(call.begun)

    def _on_fdatasync(self, call: Call) -> None:
        self._on_fsync(call)

    def _on_sync(self, call: Call) -> None:
        for node in self.disk.nodes:
            node.sync(call.begun)

    def _on_syncfs(self, call: Call) -> None:
        self._on_sync(call)
