"""A file of 2 GiB becomes a package in little memory, and a kill in the middle leaves nothing. Prints its figures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.site import CLEAN, cache_folder, site, until

MIB = 1024**2
SIZE = 2048 * MIB
MOST_MEMORY = 64 * MIB
ROOM = 6 * 1024 * MIB

# The peak that the kernel reports starts with the parent's own: so a small parent of its own, which reports it.
MEASURE = """
import json, os, sys, time
begun = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, time.monotonic() - begun]))
"""


@pytest.fixture(scope="module")
def big(can_leave_out: Callable[[str], None]) -> Iterator[Path]:
    """A folder with a stored zip of 2 GiB: mostly holes, so that it takes little of the disk."""
    with tempfile.TemporaryDirectory(prefix="ocs-big-") as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < ROOM:
            can_leave_out(f"a build of 2 GiB needs 6 GiB on the disk, and {free // MIB} MiB are free in {folder}")
        make_zip(folder / "big.zip")
        yield folder


def make_zip(path: Path) -> None:
    """One member `data`, stored: a mebibyte of noise at each end and zeros between."""
    noise, zeros = os.urandom(MIB), bytes(MIB)
    check = zlib.crc32(noise)
    for _ in range(SIZE // MIB - 2):
        check = zlib.crc32(zeros, check)
    check = zlib.crc32(noise, check)
    fields = struct.pack("<HHHHHLLLHH", 20, 0, 0, 0, 0x21, check, SIZE, SIZE, 4, 0)
    with path.open("wb") as file:
        file.write(b"PK\x03\x04" + fields + b"data" + noise)
        file.seek(SIZE - 2 * MIB, os.SEEK_CUR)
        file.write(noise)
        directory = b"PK\x01\x02" + struct.pack("<H", 0x0314) + fields
        directory += struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, 0) + b"data"
        end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(directory), file.tell(), 0)
        file.write(directory + end)


def words(pyz: Path, folder: Path, name: str) -> list[str]:
    line = [sys.executable, str(pyz), "package", "build", "--name", name, "--os", "linux", "--action", "store"]
    line += ["--path", "/opt/big", "--file", str(folder / "big.zip"), "--fragment-size", "64M"]
    return [*line, "--data", str(folder / "data")]


def environment(folder: Path) -> dict[str, str]:
    return {**CLEAN, "HOME": str(folder), "OCS_CACHE": str(cache_folder())}


def left(folder: Path) -> list[Path]:
    return list((folder / "data" / "fragments").glob("*"))


def test_a_kill_in_the_middle_leaves_nothing_after_the_next_start(pyz: Path, big: Path) -> None:
    process = subprocess.Popen(words(pyz, big, "killed"), env=environment(big), stdout=subprocess.PIPE)

    def well_under_way() -> bool | None:
        assert process.poll() is None, "the build ended before it could be killed"
        return True if sum(1 for _ in (big / "data" / "fragments").glob("*.building/*")) > 4 else None

    until(well_under_way, "some fragments are cut")
    process.send_signal(signal.SIGKILL)
    assert process.communicate()[0] == b""
    assert left(big)
    with site(pyz, big) as running:
        assert left(big) == []
        assert json.loads(running.ask("package", "list", "--json")) == []
        assert "which a killed build had left" in running.log()


def test_two_gibibytes_take_no_more_than_64_mebibytes_of_memory(pyz: Path, big: Path) -> None:
    subprocess.run(
        [sys.executable, str(pyz), "package", "--help"], env=environment(big), check=True, capture_output=True
    )
    begun = time.monotonic()
    line = [sys.executable, "-I", "-S", "-c", MEASURE, *words(pyz, big, "big")]
    done = subprocess.run(line, env=environment(big), capture_output=True, text=True, timeout=600, check=True)
    package, measured = done.stdout.split("\n")[:2]
    code, peak, seconds = json.loads(measured)
    assert (code, done.stderr) == (0, "")
    print(f"2 GiB: {seconds:.1f} s, peak {peak / MIB:.1f} MiB, {time.monotonic() - begun:.1f} s in all")
    folder = big / "data" / "fragments" / package
    sizes = [(folder / f"{package}-{number}").stat().st_size for number in range(1, 34)]
    whole = (big / "big.zip").stat().st_size
    assert sizes == [64 * MIB] * 32 + [whole - SIZE]
    assert peak <= MOST_MEMORY, f"{peak / MIB:.1f} MiB"
