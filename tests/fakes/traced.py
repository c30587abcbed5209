"""What a program asks of the disk, as strace sees it: its calls in the order in which they returned, with all bytes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

UMASK = 0o022
SECONDS = 120
TAIL = 200  # letters at a line's end in which the result stands
STRACE = (
    "strace", "-f", "-qq", "-xx", "-s", "100000000",
    "-e", "trace=%file,%desc,sync,io_uring_setup,clone,clone3,fork,vfork", "-e", "signal=none",
)  # fmt: skip

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()")
_RESULT = re.compile(r"\) += (-?\d+|0x[0-9a-f]+|\?)(?: ([A-Z]+))?")
_UNFINISHED = " <unfinished ...>"
_PART = re.compile(r'"[^"]*"|[\[{(]|[\])}]|,|[^",\[\](){}]+')
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass(frozen=True)
class Call:
    """One call that returned. `begun` and `ended` number the moments: what ended before that began is done."""

    begun: int
    ended: int
    process: int
    name: str
    values: tuple[str, ...]  # as strace writes them
    result: int
    error: str  # such as ENOENT

    def number(self, at: int) -> int:
        """A value that is a number, such as a descriptor; -1 for the working directory."""
        return -1 if self.values[at] == "AT_FDCWD" else int(self.values[at], 0)

    def text(self, at: int) -> str:
        """A value that is a path."""
        return self.data(at).decode()

    def data(self, at: int) -> bytes:
        """The bytes of a value, or of all that are in it, one behind the other."""
        return b"".join(strings(self.values[at]))

    def has(self, at: int, flag: str) -> bool:
        """Whether a value of several flags has that one."""
        return len(self.values) > at and flag in self.values[at].split("|")


def strings(value: str) -> list[bytes]:
    """Every text in what strace wrote."""
    found = []
    for text, cut in _STRING.findall(value):
        assert not cut, "strace cut a text off"
        found.append(bytes.fromhex(text.replace("\\x", "")))
    return found


def trace(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], *, links: bool = True) -> str:
    """Run a command to its end, which must be a good one; what it printed. Its calls come into the log.

    `links`: whether files can have second names.
    """
    without = [] if links else ["-e", "inject=link,linkat:error=EPERM"]
    done = subprocess.run(
        [*STRACE, *without, "-o", log, *command],
        capture_output=True, text=True, env=environment, cwd="/", umask=UMASK, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls(log: Path) -> Iterator[Call]:
    """Every call in a log, but for those that never returned."""
    open_calls: dict[int, tuple[int, str]] = {}
    with log.open(encoding="ascii") as lines:
        for moment, line in enumerate(lines):
            found = _LINE.match(line)
            if not found:
                continue  # a process ended
            process, resumed, name = int(found[1]), found[2], found[3]
            rest = line[found.end() :].rstrip("\n")
            begun = moment
            if resumed:
                begun, before = open_calls.pop(process)
                name, rest = resumed, before + rest
            if rest.endswith(_UNFINISHED):
                open_calls[process] = begun, rest.removesuffix(_UNFINISHED)
                continue
            end = _RESULT.search(rest, max(0, len(rest) - TAIL))
            assert end, line[:300]
            if end[1] != "?":
                values = tuple(_split(rest[: end.start()]))
                yield Call(begun, moment, process, name, values, int(end[1], 0), end[2] or "")


def _split(text: str) -> Iterator[str]:
    """The values between a call's brackets."""
    depth, value = 0, ""
    for part in _PART.findall(text):
        depth += (part in "[{(") - (part in "])}")
        if part == "," and depth == 0:
            yield value.strip()
            value = ""
        else:
            value += part
    if value.strip():
        yield value.strip()
