"""A package's journal as bytes: one line per event, each with its own check sum. Files are not touched here.

    3f2a91c7 {"phase":"ARMED","at":1795206923}

A line that was torn by a power cut is known by its check sum and left out; the next one is written over it.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]  # at least {"phase": str, "at": seconds}


@dataclass(frozen=True)
class Journal:
    """What a journal's bytes say. `good` is how many bytes of it may be kept; `damaged`: a line is lost in between."""

    entries: tuple[Entry, ...]
    good: int
    damaged: bool


def line(entry: Entry) -> bytes:
    """One event as it is written."""
    text = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read(data: bytes) -> Journal:
    """The events in a journal. Never fails: what cannot be read is left out and told."""
    entries: list[Entry] = []
    good = offset = 0
    damaged = False
    for piece in data.splitlines(keepends=True):
        offset += len(piece)
        entry = _entry(piece)
        if entry is not None:
            damaged = damaged or good != offset - len(piece)
            entries.append(entry)
            good = offset
    # a torn line has no end: one that has was whole once, and what it said is lost
    damaged = damaged or b"\n" in data[good:]
    return Journal(tuple(entries), good, damaged)


def _entry(piece: bytes) -> Entry | None:
    check, _, text = piece.rstrip(b"\n").partition(b" ")
    if not piece.endswith(b"\n") or b"%08x" % zlib.crc32(text) != check:
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("phase"), str) else None
