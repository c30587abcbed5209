#!/usr/bin/env python3
"""The agent beside its opponents, both in one run: the genuine Perl agent, and curl + sha256sum + unzip.

    python3 bench/agent.py dist/ocs.pyz [--size MIB] [--runs N]

Prints a table with ratios. Everything stays on loopback. Needs root for the genuine agent (a host name of its own),
curl, sha256sum and unzip; what is missing is said and left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.whole.site import CLEAN, Site, site

MIB = 1024 * 1024
Row = tuple[str, str, str, str, str]


def main() -> int:
    """Measure, print, give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pyz", type=Path)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="package size for the deployment rows")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as name, site(given.pyz.resolve(), Path(name)) as here:
        here.hurry()
        rows += first_byte(here, given.runs)
        rows += whole_contact(here, given.runs)
        rows += deployment(here, given.size * MIB)
        rows += idle(here)
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in [("WHAT", "OURS", "OPPONENT", "RATIO", "WANTED"), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def own(here: Site, name: str, *words: str) -> list[str]:
    """Our agent's command line."""
    base = [sys.executable, "-I", "-S", str(here.pyz), "agent", "--ca", str(here.bundle)]
    return [*base, "--basedir", str(here.folder / name), *words]


def genuine(here: Site, url: str) -> list[str] | None:
    """The genuine agent's command line, under a host name of its own; None where it is not installed."""
    if not shutil.which("ocsinventory-agent") or os.geteuid() != 0:
        return None
    home = here.folder / "genuine"
    home.mkdir(exist_ok=True)
    words = [f"--server={url}", "--nolocal", f"--basevardir={home / 'var'}", f"--ca={here.bundle}"]
    return ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec ocsinventory-agent "$@"', "pc-bench", *words]


def first_byte(here: Site, runs: int) -> list[Row]:
    """Seconds from the start of the process to its first byte on the wire."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}/ocsinventory"
        ours = own(here, "first", "--server", url, "--once")
        theirs = genuine(here, url)
        pairs = in_turn(
            lambda: until_first_byte(ours, door), (lambda: until_first_byte(theirs, door)) if theirs else None, runs
        )
    return [compare("start to first byte", "s", pairs, "<= 0.25 s, ratio <= 1")]


def until_first_byte(command: Sequence[str], door: socket.socket) -> float:
    """Start a process, wait until it speaks, hang up on it."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=CLEAN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    door.settimeout(30)
    peer, _ = door.accept()
    with peer:
        peer.recv(1)
        took = time.perf_counter() - start
    process.wait(60)
    return took


def whole_contact(here: Site, runs: int) -> list[Row]:
    """Seconds and peak memory of PROLOG and INVENTORY with all softwares, against the real server."""
    ours = own(here, "contact", "--server", here.http, "--once", "--force-inventory")
    theirs = genuine(here, here.http)
    memory: dict[str, list[float]] = {"ours": [], "theirs": []}

    def run(command: Sequence[str], who: str) -> float:
        start = time.perf_counter()
        memory[who].append(peak_mib(command))
        return time.perf_counter() - start

    pairs = in_turn(lambda: run(ours, "ours"), (lambda: run(theirs, "theirs")) if theirs else None, runs)
    return [
        compare("contact with inventory", "s", pairs, "ratio <= 0.5"),
        compare("peak memory of that", "MiB", (memory["ours"], memory["theirs"]), ""),
    ]


def deployment(here: Site, size: int) -> list[Row]:
    """A large Store package: peak memory, and time beside curl + sha256sum + unzip of the same bytes."""
    archive = here.folder / "large.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed, packed.open("blob", "w", force_zip64=True) as out:
        for _ in range(size // MIB):
            out.write(os.urandom(MIB))
    target = here.folder / "deployed"
    name = f"{size // MIB} MiB, fragments of 16 MiB"
    package = here.deploy("large", "--action", "store", "--path", str(target), "--file", str(archive), priority=1)
    here.ask("config", "set", "DOWNLOAD_PERIOD_LENGTH", "999")
    command = own(here, "contact", "--server", here.http, "--once")
    start = time.perf_counter()
    memory = peak_mib(command)
    ours = time.perf_counter() - start
    assert here.stats(package)["success"] == 1, here.stats(package)
    assert (target / "blob").stat().st_size == size // MIB * MIB
    shutil.rmtree(target)
    rows = [(f"deploy {name}: peak memory", f"{memory:.0f} MiB", "", "", "<= 40 MiB")]
    if not all(shutil.which(tool) for tool in ("curl", "sha256sum", "unzip")):
        return [*rows, (f"deploy {name}", f"{ours:.2f} s", "not installed", "", ">= 0.7 of it")]
    theirs = by_hand(here, package, -(-archive.stat().st_size // (16 * MIB)))
    return [*rows, (f"deploy {name}", f"{ours:.2f} s", f"{theirs:.2f} s", f"{theirs / ours:.2f}", ">= 0.7")]


def by_hand(here: Site, package: str, fragments: int) -> float:
    """curl of info over TLS and the fragments over HTTP, sha256sum, unzip: seconds."""
    folder = here.folder / "by-hand"
    folder.mkdir()
    secure = here.https.removesuffix("/ocsinventory")
    plain = here.http.removesuffix("/ocsinventory")
    script = f"""
        set -e
        curl -sS --cacert {here.bundle} -o info {secure}/download/{package}/info
        curl -sS '{plain}/download/{package}/{package}-[1-{fragments}]' > whole.zip
        sha256sum whole.zip > sum
        unzip -q whole.zip -d out
    """
    start = time.perf_counter()
    subprocess.run(["sh", "-c", script], cwd=folder, env=CLEAN, check=True)
    took = time.perf_counter() - start
    shutil.rmtree(folder)
    return took


def idle(here: Site) -> list[Row]:
    """Resident memory and wake-ups of an agent that waits for its next contact."""
    here.ask("config", "set", "DOWNLOAD", "1")
    process = subprocess.Popen(
        own(here, "contact", "--server", here.http), env=CLEAN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(3)
        before = status_of(process.pid, "voluntary_ctxt_switches")
        time.sleep(10)
        wakes = status_of(process.pid, "voluntary_ctxt_switches") - before
        resident = status_of(process.pid, "VmRSS") / 1024
    finally:
        process.terminate()
        process.wait(20)
    return [
        ("idle agent: resident", f"{resident:.0f} MiB", "", "", "<= 32 MiB"),
        ("idle agent: wake-ups in 10 s", str(wakes), "", "", "0"),
    ]


def status_of(pid: int, key: str) -> int:
    """A number of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)


def peak_mib(command: Sequence[str]) -> float:
    """Run to the end: the peak resident memory of the process itself."""
    process = subprocess.Popen(command, env=CLEAN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_maxrss / 1024


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float] | None, runs: int
) -> tuple[list[float], list[float]]:
    """Both in turn, after one warm-up each that is not counted."""
    pairs: tuple[list[float], list[float]] = ([], [])
    for counted in range(runs + 1):
        for side, run in enumerate((ours, theirs)):
            if run is not None:
                took = run()
                if counted:
                    pairs[side].append(took)
    return pairs


def compare(what: str, unit: str, pairs: tuple[list[float], list[float]], wanted: str) -> Row:
    """Medians and the median of the ratios, pair by pair."""
    ours = statistics.median(pairs[0])
    if not pairs[1]:
        return what, f"{ours:.2f} {unit}", "not installed", "", wanted
    theirs = statistics.median(pairs[1])
    ratio = statistics.median(a / b for a, b in zip(*pairs, strict=False))
    return what, f"{ours:.2f} {unit}", f"{theirs:.2f} {unit}", f"{ratio:.2f}", wanted


if __name__ == "__main__":
    sys.exit(main())
