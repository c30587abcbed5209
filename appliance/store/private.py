"""The data directory and the database are their owner's alone: private keys lie in them. Source: security.md R20."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.domain.refusal import Kind, Refusal


def make_private(folder: Path, path: Path) -> None:
    """The data directory 0700 and the database file 0600, before SQLite opens it.

    Raises Refusal where it is not ours alone: what others may read must not hold keys.
    """
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif _is_open(folder):
            _tighten(folder, path)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif _is_open(path):
            raise _too_open(folder, path)
    except OSError as error:
        raise unusable(folder, error) from error


def _tighten(folder: Path, path: Path) -> None:
    """An empty directory was made for us by hand; one with other files is not ours, nor is its mode."""
    has_data, has_files = path.exists(), any(folder.iterdir())
    if not _is_open(folder):
        return  # another first start was faster
    if has_data:
        raise _too_open(folder, folder)
    if has_files:
        raise Refusal(
            Kind.CONFLICT,
            "{folder} holds other files and other accounts may look into it; choose an empty or new directory with "
            "--data.",
            folder=folder,
        )
    folder.chmod(0o700)


def _is_open(path: Path) -> bool:
    return os.name != "nt" and bool(path.stat().st_mode & 0o077)


def _too_open(folder: Path, path: Path) -> Refusal:
    return Refusal(
        Kind.CONFLICT,
        "{path} is open to other accounts, and private keys lie in it; close it with: chmod -R go= {folder}",
        path=path,
        folder=folder,
    )


def unusable(folder: Path, error: OSError) -> Refusal:
    """The Refusal of a data directory that cannot be made or entered."""
    return Refusal(
        Kind.CONFLICT,
        "the data directory {folder} cannot be used: {met}; choose another with --data.",
        folder=folder,
        met=error.strerror,
    )
