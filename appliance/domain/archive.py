"""Which archive members may be unpacked, decided by their headers alone. Source: security.md R3-R5, A22-A24.

Genuine Unix agents unpack as root with plain tar, so the server holds the same rules at build that our own agent
holds before it writes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

from appliance.domain.refusal import Term


class Shape(Enum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    OTHER = "device, pipe or socket"


@dataclass(frozen=True)
class Member:
    """One archive member as its header tells it. `size` in bytes unpacked; `mode` as Unix permission bits."""

    name: str
    shape: Shape
    size: int
    mode: int = 0o644
    packed_size: int | None = None  # zip only


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may unpack to (security.md A24)."""

    members: int = 100_000
    total: int = 64 * 1024**3
    depth: int = 64
    name_length: int = 240
    ratio: int = 1_100  # deflate itself cannot pass about 1032


RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
# control characters, drive and stream marks, line and writing-direction marks, bytes that are no UTF-8
_BAD_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f:\\\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_KINDS = {
    Shape.SYMLINK: Term("is a symbolic link"),
    Shape.HARDLINK: Term("is a hard link"),
    Shape.OTHER: Term("is a device, pipe or socket"),
}


class Census:
    """Holds the members seen so far against the rules; one per archive."""

    def __init__(self, limits: ArchiveLimits | None = None) -> None:
        self.limits = limits or ArchiveLimits()
        self.members = 0
        self.total = 0
        self._seen: dict[str, Shape] = {}

    def fault(self, member: Member) -> str | None:
        """What is wrong with the next member, as half a sentence; None when it may be unpacked."""
        self.members += 1
        if self.members > self.limits.members or len(self._seen) > self.limits.members:
            return Term("is one of more than {most} members", most=self.limits.members)  # with folders only implied
        if member.shape in _KINDS:
            return _KINDS[member.shape]
        if member.mode & 0o6000:
            return Term("has the setuid or setgid bit")
        if member.size < 0:
            return Term("has a negative size")
        self.total += member.size
        if self.total > self.limits.total:
            return Term("makes the archive larger than {most} bytes unpacked", most=self.limits.total)
        if member.packed_size is not None and member.size > max(1, member.packed_size) * self.limits.ratio:
            return Term("is packed more tightly than any honest file")
        return self._name_fault(member)

    def _name_fault(self, member: Member) -> str | None:
        name = member.name
        if _BAD_CHARACTER.search(name):
            return Term("has a character in its name that Windows or a terminal would misread")
        if name.startswith("/"):
            return Term("has an absolute name")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts:
            return None if member.shape is Shape.FOLDER else Term("has no name")
        if ".." in parts:
            return Term("would be written outside its folder")
        if len(name) > self.limits.name_length:
            return Term("has a name longer than {most} characters", most=self.limits.name_length)
        if len(parts) > self.limits.depth:
            return Term("lies deeper than {most} folders", most=self.limits.depth)
        for part in parts:
            if RESERVED.fullmatch(part) or part.endswith((" ", ".")):
                return Term("has a name that Windows reserves")
        return self._clash(parts, member.shape)

    def _clash(self, parts: list[str], shape: Shape) -> str | None:
        for depth in range(1, len(parts)):
            if self._seen.setdefault(_fold(parts[:depth]), Shape.FOLDER) is Shape.FILE:
                return Term("lies below a file")
        key = _fold(parts)
        before = self._seen.get(key)
        if before is not None and not (before is Shape.FOLDER and shape is Shape.FOLDER):
            return Term("stands twice in the archive, upper and lower case taken as one")
        self._seen[key] = shape
        return None


def inner_path(name: str) -> str:
    """A member's name without empty and `.` parts: `./bin//x` is `bin/x`; `` for the top folder."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _fold(parts: list[str]) -> str:
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()
