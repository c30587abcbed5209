"""The Pythons of this machine, so that tests can run the agent on each of them. Nothing is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OLDEST = (3, 9)
NEWEST = (3, 14)
ASK = "import ssl, sqlite3, sys; print(sys.executable); print(sys.implementation.name, *sys.version_info[:3])"


def interpreters(
    oldest: tuple[int, int] = OLDEST, newest: tuple[int, int] = NEWEST
) -> list[tuple[tuple[int, ...], str]]:
    """(version, path) of every working CPython here, oldest first, one for each minor version."""
    found: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for path in candidates(newest):
        known = meet(path)
        if known and oldest <= known[0][:2] <= newest:
            found.setdefault(known[0][:2], known)
    return [found[minor] for minor in sorted(found)]


def candidates(newest: tuple[int, int]) -> Iterator[str]:
    """Where a Python may be; the one that runs the tests comes first."""
    yield getattr(sys, "_base_executable", None) or sys.executable
    for name in ["python3", *(f"python3.{minor}" for minor in range(newest[1], 5, -1))]:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            at = shutil.which(name, path=folder or os.curdir)
            if at:
                yield at
        yield f"/usr/bin/{name}"
        yield f"/usr/local/bin/{name}"
    versions = Path(os.environ.get("PYENV_ROOT") or Path(os.path.expanduser("~")) / ".pyenv") / "versions"
    if versions.is_dir():
        yield from (str(folder / "bin" / "python3") for folder in sorted(versions.iterdir(), reverse=True))


@cache
def meet(path: str) -> tuple[tuple[int, ...], str] | None:
    """What this interpreter says of its version and of its place (a version manager's shim is not the place).

    None where it does not run, lacks what we need, or is no CPython.
    """
    if not os.access(path, os.X_OK):
        return None
    try:
        said = subprocess.run([path, "-I", "-S", "-c", ASK], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode:
        return None
    place, about = said.stdout.splitlines()
    name, *numbers = about.split()
    return (tuple(int(number) for number in numbers), place) if name == "cpython" else None
