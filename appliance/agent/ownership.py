"""Whether somebody else could change what root is about to run. Source: security.md A30, A31, A33, R33."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from appliance.agent.failure import Unusable


def trusted() -> frozenset[int]:
    """The accounts that own this computer: root, who runs this, and whoever stands for root in a container."""
    if sys.platform == "win32":
        return frozenset()
    return frozenset({0, os.geteuid(), os.stat("/").st_uid})


def sources() -> frozenset[int]:
    """`trusted()`, and whoever ran sudo: root by that already, so what lies in that account's home will do."""
    sudo = os.environ.get("SUDO_UID", "")
    return trusted() | ({int(sudo)} if sudo.isdigit() else frozenset())


def guard_root(path: Path) -> None:
    """`guard` where this runs as root. An agent without more rights than others' has nothing to lose to them."""
    if sys.platform != "win32" and os.geteuid() == 0:
        guard(path, sources())


def guard(path: Path, owners: Collection[int]) -> None:
    """Raise Unusable where an account that is not in `owners` could put something else in the path's place.

    Looks at all that exists of it: the path, what links in it stand for, and every folder above. A group that may
    write counts as others, but for root's. Windows: who may write is the folder's list of rights, set by `install`.
    """
    if sys.platform == "win32":
        return
    for part in _chain(path):
        try:
            found = part.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unusable(f"{part} cannot be looked at: {error.strerror}.") from None
        if found.st_uid not in owners:
            raise Unusable(f"{part} belongs to another account, which could change {path}; choose another place.")
        if stat.S_ISLNK(found.st_mode):
            continue  # a link has no mode of its own; where it leads is in the chain too
        others = found.st_mode & (0o002 if found.st_gid == 0 else 0o022)
        if others and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            raise Unusable(f"{part} can be written by others, who could change {path}; chmod go-w it, or choose"
                           " another place.")  # fmt: skip


def _chain(path: Path) -> Iterator[Path]:
    """The path and all above it, as it is named and as it is without links; outermost first."""
    named, real = path.absolute(), path.resolve()
    seen: dict[Path, None] = {}
    for start in (named, real):
        seen.update(dict.fromkeys([*reversed(start.parents), start]))
    yield from seen
