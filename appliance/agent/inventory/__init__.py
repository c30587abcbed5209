"""What this computer is: the sections of an inventory, as values. Sending them is not done here.

PORTABLE. Never raises because a source is missing, never waits on one without a limit, needs no root
(with root there is more to see: serial numbers, memory modules).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["Section", "collect", "preload"]

Section = tuple[str, dict[str, str]]  # ("HARDWARE", {"NAME": "pc1"}); sections that repeat, repeat

_REAL_ROOT = Path("/")


def collect(root: Path = _REAL_ROOT, *, softwares: bool = True) -> list[tuple[str, dict[str, str]]]:
    """Every section, values cleaned. With another `root` only files below it are read: nothing is run."""
    from .rows import tidy

    live = root == _REAL_ROOT
    return tidy(_collector()("" if live else str(root), live=live, softwares=softwares))


def preload() -> None:
    """Import now what `collect` will need: a running agent's file may be replaced under its feet."""
    _collector()  # which needs all that `collect` does


def _collector() -> Callable[..., list[Section]]:
    # Lazily: each computer needs one of them. `name` keeps mypy from seeing only its own system.
    name: str = sys.platform
    if name.startswith("linux"):
        from . import linux

        return linux.collect
    if name == "win32":
        from . import windows

        return windows.collect
    if name == "darwin":
        from . import macos

        return macos.collect
    from . import other

    return other.collect
