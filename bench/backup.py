"""A backup of 1 GiB of fragments beside `cp` of the same files on the same disk, in turns; medians.

    python bench/backup.py [--folder DIR] [--rounds 7]

`cp` is followed by a sync, as a backup syncs: else it has only written to memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.domain.package import Action, Order, System
from appliance.operations.backup import back_up
from appliance.operations.build_package import build_package
from appliance.operations.desk import open_desk

MIB = 1024**2
PARTS = 64  # files of 16 MiB in a zip that stores them: nothing in it shrinks


def silent(*_: object) -> None:
    """No progress."""


async def measure(folder: Path, rounds: int) -> None:
    """Print what each round took, and the ratio of the medians."""
    archive = folder / "big.zip"
    _make(archive)
    async with open_desk(folder / "data") as desk:
        await build_package(desk, Order("big", System.LINUX, Action.STORE, "/x"), archive, None, silent)
        archive.unlink()
        backups, copies = [], []
        for _ in range(rounds):
            target, copy = folder / "b.tar.zst", folder / "copy"
            start = time.monotonic()
            await back_up(desk, target, None, silent)
            middle = time.monotonic()
            subprocess.run(["cp", "-r", desk.shelf.folder, copy], check=True)
            _sync(copy)
            backups.append(middle - start)
            copies.append(time.monotonic() - middle)
            print(f"backup {backups[-1]:.2f} s, cp {copies[-1]:.2f} s", flush=True)
            target.unlink()
            shutil.rmtree(copy)
    took, cp = statistics.median(backups), statistics.median(copies)
    print(f"median: backup {took:.2f} s, cp {cp:.2f} s: {cp / took:.2f} of cp; load {os.getloadavg()[0]:.1f}")


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        with path.open("rb") if path.is_file() else contextlib.nullcontext() as file:
            if file:
                os.fsync(file.fileno())


def _make(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        for number in range(PARTS):
            made.writestr(f"part-{number}", os.urandom(16 * MIB))


def main() -> None:
    """Measure in a folder of its own."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument(
        "--folder", type=Path, default=None, help="on the disk to measure; default: where temporary files are"
    )
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-backup-", dir=chosen.folder) as name:
        asyncio.run(measure(Path(name), chosen.rounds))


if __name__ == "__main__":
    main()
