"""Bounded reads of small files and folders: whatever goes wrong, the answer is "nothing there".

Only reading lives here; what the bytes mean is known by the callers.
"""

from __future__ import annotations

import os

TEXT_LIMIT = 1 << 20  # for files that are a few lines on any honest machine
ENTRIES_LIMIT = 20_000  # names taken from one folder

# Without O_NONBLOCK, opening a FIFO that someone put in the place of a file would wait for a writer.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: str, limit: int = TEXT_LIMIT) -> bytes:
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError):  # ValueError: a NUL in a path that came from another file
        return b""
    chunks = []
    try:
        while limit > 0:
            chunk = os.read(handle, min(limit, 1 << 20))
            if not chunk:
                break
            chunks.append(chunk)
            limit -= len(chunk)
    except OSError:  # sysfs says EINVAL for "not known", e.g. the speed of a link that is down
        pass
    finally:
        os.close(handle)
    return b"".join(chunks)


def read_text(path: str, limit: int = TEXT_LIMIT) -> str:
    return read_bytes(path, limit).decode("utf-8", "replace")


def read_word(path: str) -> str:
    """A file that holds one value, as those of sysfs do."""
    return read_bytes(path, 4096).decode("utf-8", "replace").strip("\x00 \t\r\n")


def names(folder: str) -> list[str]:
    """Sorted, so that two inventories of an unchanged computer are equal."""
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(found) == ENTRIES_LIMIT:
                    break
                found.append(entry.name)
    except (OSError, ValueError):
        pass
    return sorted(found)


def link_name(path: str) -> str:
    """The last part of where a symbolic link points to: sysfs names drivers and parents this way."""
    try:
        return os.path.basename(os.readlink(path))
    except (OSError, ValueError):
        return ""


def pairs(text: str, separator: str = "=") -> dict[str, str]:
    """`KEY=value` lines, quotes removed; the first of two equal keys stays."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.partition(separator)
        if sign:
            found.setdefault(key.strip(), value.strip().strip("\"'"))
    return found
