"""What is known of the bytes of fragments: which file was read through, as it was then, and whether it was right.

A file that was not touched since is not read again for each agent; one that was is, before a byte of it leaves. What
changes in a file without a trace in its time of change is found by the scrub (operations/scrub.py). In memory only:
every start looks anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

READ = 1024 * 1024
AT_ONCE = 2  # reading more files at once makes none of them faster

Pause = Callable[[], bool]  # after each READ; True: stop


def go_on() -> bool:
    """No pause."""
    return False


class Proofs:
    """Verdicts by file."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(AT_ONCE)
        self._verdicts: dict[tuple[int, int], tuple[tuple[int, int, str], bool]] = {}

    def known(self, file: BinaryIO, sha256: str) -> bool | None:
        """Whether the file has that digest; None where it must be read to tell."""
        place, state = _marks(file, sha256)
        verdict = self._verdicts.get(place)
        return verdict[1] if verdict and verdict[0] == state else None

    def prove(self, file: BinaryIO, sha256: str, pause: Pause = go_on) -> bool:
        """Read the file through and remember the verdict; its position stays. Blocking. Raises OSError."""
        place, state = _marks(file, sha256)
        descriptor, digest, at = file.fileno(), hashlib.sha256(), 0
        while data := os.pread(descriptor, READ, at):
            digest.update(data)
            at += len(data)
            if pause():
                return True  # nobody waits for the verdict any more; none is kept
        right = digest.hexdigest() == sha256
        if _marks(file, sha256) == (place, state):
            self._verdicts[place] = state, right
        return right


def _marks(file: BinaryIO, sha256: str) -> tuple[tuple[int, int], tuple[int, int, str]]:
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns, sha256)
