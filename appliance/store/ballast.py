"""A file that holds some room on the disk of the database, and gives it back when the disk is full.

Without it nothing could be deleted on a full disk: a deletion is written down first. Agents that come meanwhile are
served from the same room. Source: security.md F11.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

LOG = logging.getLogger("ocs.disk")

NAME = "ballast"
SIZE = 16 * 1024**2
LOW = 4 * 1024**2  # less than this is as good as full
PLENTY = 96 * 1024**2  # more than what uploads leave free, so that the two do not push each other out


class Ballast:
    """The file of one data directory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def look(self) -> None:
        """Make it where there is room, give it up where there is none. Blocking."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError:
            return
        if free < LOW:
            self.drop()
        elif free > PLENTY and not self.path.exists():
            self._make()

    def drop(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            self.path.unlink()
            LOG.error("the disk of %s is full: the last %d bytes are given up; make room now", self.path.parent, SIZE)

    def _make(self) -> None:
        fresh = self.path.with_name(f"{NAME}.new")
        try:
            with open(fresh, "wb", opener=lambda path, how: os.open(path, how, 0o600)) as file:
                for _ in range(SIZE // 2**20):
                    file.write(os.urandom(2**20))  # a file system that compresses would keep no room for zeros
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
