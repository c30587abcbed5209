"""How much of an upload is on the disk for sure: a number in the file `arrived`, beside the pieces that it speaks of.

Bytes, lengths and names reach a disk in any order: after a power cut a piece may be as long as it was and empty, or
missing among others. So what was synced is noted, and a start cuts off the rest. Blocking. Source: security.md F5.
"""

from __future__ import annotations

import os
from pathlib import Path

from appliance.disk import keep, sync_folder

NOTE = "arrived"


def pieces(folder: Path) -> list[Path]:
    """The files of an upload in their order; none where it has none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(filter(str.isdigit, names), key=int)]


def note(folder: Path, size: int) -> None:
    """The first `size` bytes are synced; with this their names are, too."""
    keep(folder / NOTE, b"%d" % size)


def noted(folder: Path) -> int:
    """How many bytes are on the disk for sure."""
    try:
        return int((folder / NOTE).read_bytes())
    except (OSError, ValueError):
        return 0


def forget(folder: Path) -> None:
    """None are, whatever a power cut brings back of it."""
    try:
        (folder / NOTE).unlink()
    except FileNotFoundError:
        return
    sync_folder(folder)


def cut(folder: Path, piece_size: int) -> None:
    """Take away all that is not on the disk for sure."""
    sure, there = noted(folder), 0
    for number, piece in enumerate(pieces(folder), 1):
        follows = piece.name == str(number) and there == (number - 1) * piece_size
        size = min(sure - there, piece_size, piece.stat().st_size) if follows else 0
        if size:
            os.truncate(piece, size)
        else:
            piece.unlink()
        there += size
    if there != sure:
        note(folder, there)
