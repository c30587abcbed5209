"""`ocs.pyz demo`: a server and an agent in a throw-away folder on loopback deploy three packages.

Only the latencies are shortened; protocol, TLS with verification, processes and files are the real ones. The demo
drives this very program by its command line, as an administrator's script would.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.text import print_table
from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal

START_SECONDS = 60.0
AGENT_SECONDS = 120.0
HASTE = {"DOWNLOAD_CYCLE_LATENCY": "0", "DOWNLOAD_FRAG_LATENCY": "0", "DOWNLOAD_PERIOD_LATENCY": "0"}

NEXT = """
What to type next:
  {program} serve --data ./ocs-data --server-name THIS-MACHINE    the real server
  {program} tls export-ca cacert.pem --data ./ocs-data            what agents verify it with
  {program} agent --server THIS-MACHINE:8080 --ca cacert.pem      on each computer
  {program} package build --help                                  your first package
"""


@dataclass(frozen=True)
class Sample:
    """One package of the demo: how it is built, and the file that proves it ran."""

    name: str
    words: tuple[str, ...]
    proof: Path


def run() -> int:
    """Deploy three packages: 0 only if all are SUCCESS and left their proof. Raises Refusal where a step fails."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="ocs-demo-") as name:
        folder = Path(name)
        print(f"A server and an agent, in {folder}, on loopback:")
        with _server(folder, clock) as urls:
            for line in urls:
                print(f"  {line}")
            samples = _samples(folder)
            _set_up(folder)
            _contact(folder, urls[0])  # the first contact makes the computer known
            ids = [_deploy(folder, sample) for sample in samples]
            print("The agent works:", flush=True)
            _contact(folder, urls[0])
            rows = [_row(folder, sample, package) for sample, package in zip(samples, ids, strict=True)]
    print()
    print_table(("PACKAGE", "NAME", "ACTION", "COMPUTER", "STATUS", "RECEIVED", "DONE"), [row[:7] for row in rows])
    good = all(row[4] == "SUCCESS" and row[6] == "yes" for row in rows)
    print(NEXT.format(program=_shown_program()) if good else "\nThe demo failed; the lines above say where.")
    return 0 if good else 1


def program() -> list[str]:
    """The command that starts this program again."""
    if zipfile.is_zipfile(sys.argv[0]):
        return [sys.executable, sys.argv[0]]
    return [sys.executable, "-m", "appliance"]


@contextmanager
def _server(folder: Path, clock: Clock) -> Iterator[list[str]]:
    """A running server: the URLs that it printed."""
    log = folder / "server.log"
    words = ["serve", "--data", str(folder / "data"), "--listen", "127.0.0.1", "--server-name", "127.0.0.1"]
    words += ["--http-port", "0", "--https-port", "0", "--console-port", "0"]
    with log.open("wb") as errors:
        server = subprocess.Popen([*program(), *words], stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert server.stdout is not None
            urls = [line.split()[1] for line in (server.stdout.readline() for _ in range(3)) if line]
            if len(urls) < 3:
                server.wait(START_SECONDS)
                raise Refusal(
                    Kind.UNREACHABLE,
                    "the server did not start:\n{read_text}",
                    read_text=log.read_text(errors="replace"),
                )
            yield urls
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _samples(folder: Path) -> list[Sample]:
    """One package of each action, for the system at hand."""
    target = folder / "deployed"
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    target.mkdir()
    launched, executed, stored = (target / name for name in ("launched.txt", "executed.txt", "stored"))
    if system == "windows":
        script, content = "setup.bat", f'@echo launched %1 > "{launched}"\r\n'
        archive, stored_archive = folder / "launch.zip", folder / "store.zip"
    else:
        script, content = "setup.sh", f'#!/bin/sh\necho "launched $1" > "{launched}"\n'
        archive, stored_archive = folder / "launch.tar.gz", folder / "store.tar.gz"
    _pack(archive, {script: content.encode()})
    _pack(stored_archive, {"readme.txt": b"stored by ocs.pyz\n", "data/random.bin": os.urandom(40_000)})
    common = ("--os", system, "--priority", "1")
    return [
        Sample(
            "Demo launch",
            (*common, "--action", "launch", "--command", f"{script} quiet", "--file", str(archive)),
            launched,
        ),
        Sample(
            "Demo execute", (*common, "--action", "execute", "--command", f'echo executed > "{executed}"'), executed
        ),
        Sample(
            "Demo store",
            (
                *common,
                "--action",
                "store",
                "--path",
                str(stored),
                "--file",
                str(stored_archive),
                "--fragment-size",
                "16K",
            ),
            stored / "data" / "random.bin",
        ),
    ]


def _pack(path: Path, files: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in files.items():
                zipped.writestr(name, data)
        return
    with tarfile.open(path, "w:gz") as packed:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            packed.addfile(member, io.BytesIO(data))


def _set_up(folder: Path) -> None:
    for name, value in HASTE.items():
        _ask(folder, "config", "set", name, value)
    _ask(folder, "tls", "export-ca", str(folder / "cacert.pem"))


def _deploy(folder: Path, sample: Sample) -> str:
    """Build, activate and affect: the package's id."""
    package = _ask(folder, "package", "build", "--name", sample.name, *sample.words).strip()
    _ask(folder, "package", "activate", package)
    affected = _ask(folder, "package", "affect", package, "--all").strip()
    print(f"  {package}  {sample.name}: built, activated, affected to {affected} computer")
    return package


def _contact(folder: Path, url: str) -> None:
    """One contact of the agent and all that it brings."""
    words = ["agent", "--server", url, "--ca", str(folder / "cacert.pem"), "--basedir", str(folder / "agent"), "--once"]
    done = subprocess.run([*program(), *words], capture_output=True, text=True, timeout=AGENT_SECONDS, check=False)
    for line in done.stderr.splitlines():
        print(f"  agent: {line}")
    if done.returncode:
        raise Refusal(
            Kind.UNREACHABLE, "the agent ended with {returncode}; its lines above say why.", returncode=done.returncode
        )


def _row(folder: Path, sample: Sample, package: str) -> tuple[str, str, str, str, str, str, str]:
    stats = json.loads(_ask(folder, "package", "stats", package, "--json"))
    action = sample.words[sample.words.index("--action") + 1]
    done = "yes" if sample.proof.exists() else "no"
    lines = stats["computers"] or [{"computer": "-", "status": "NO COMPUTER", "received": ""}]
    line = lines[0]
    return package, sample.name, action, line["computer"], line["status"], line["received"], done


def _ask(folder: Path, *words: str) -> str:
    """One command line of this program: what it printed. Raises Refusal with what it said."""
    command = [*program(), *words, "--data", str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=AGENT_SECONDS, check=False)
    if done.returncode:
        raise Refusal(Kind.CONFLICT, "'{words}' failed: {strip}", words=" ".join(words[:2]), strip=done.stderr.strip())
    return done.stdout


def _shown_program() -> str:
    return "python3 ocs.pyz" if zipfile.is_zipfile(sys.argv[0]) else "python3 -m appliance"
