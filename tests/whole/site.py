"""A small site for a test: the built ocs.pyz serving on loopback, packages, and computers of both kinds."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

WAIT = 90.0
Seen = TypeVar("Seen")
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Site:
    """A running server with its data below `folder`."""

    def __init__(self, pyz: Path, folder: Path, urls: list[str], said: IO[str]) -> None:
        self.pyz = pyz
        self.folder = folder
        self.said = said  # what the server prints after its three addresses
        self.http, self.https, self.console = urls
        self.bundle = folder / "cacert.pem"
        self.ask("tls", "export-ca", str(self.bundle))

    def first_address(self) -> str:
        """The one-time address for the first administrator, which a server without accounts prints last."""
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(self.said.readline()), daemon=True)
        reader.start()
        reader.join(WAIT)
        assert lines, "the server printed no address for the first administrator"
        word, address = lines[0].split()
        assert word == "first", lines[0]
        return address

    def ask(self, *words: str) -> str:
        """One command line, which must succeed: its output without the last line break."""
        code, out, err = self.try_to(*words)
        assert code == 0, err
        return out.removesuffix("\n")

    def try_to(self, *words: str) -> tuple[int, str, str]:
        """One command line: exit code, output, errors."""
        done = subprocess.run(
            [sys.executable, self.pyz, *words, "--data", self.folder / "data"],
            env={**CLEAN, "HOME": str(self.folder), "OCS_CACHE": str(cache_folder())},
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def hurry(self) -> None:
        """No latencies, for all computers."""
        for name in ("CYCLE", "FRAG", "PERIOD"):
            self.ask("config", "set", f"DOWNLOAD_{name}_LATENCY", "0")

    def deploy(self, name: str, *words: str, priority: int = 1) -> str:
        """Build, activate and affect a package to all computers: its id."""
        order = ("--os", "linux", "--priority", str(priority), *words)
        package = self.ask("package", "build", "--name", name, *order)
        self.ask("package", "activate", package)
        self.ask("package", "affect", package, "--all")
        return package

    def stats(self, package: str) -> dict[str, Any]:
        """`package stats --json`."""
        document: dict[str, Any] = json.loads(self.ask("package", "stats", package, "--json"))
        return document

    def outcome(self, package: str) -> tuple[str, str]:
        """Status and received code of a package that is affected to one computer, once it has an outcome."""

        def finished() -> dict[str, Any] | None:
            (line,) = self.stats(package)["computers"]
            return None if line["status"] in ("WAITING NOTIFICATION", "NOTIFIED") else line

        line = until(finished, f"package {package} has an outcome")
        return line["status"], line["received"]

    def requests(self, pattern: str) -> list[str]:
        """The lines of the server's access log that fit."""
        return [line for line in self.log().splitlines() if "ocs.access" in line and re.search(pattern, line)]

    def log(self) -> str:
        """All that the server wrote to standard error."""
        return (self.folder / "server.log").read_text()

    def genuine_agent(self, host: str = "pc-genuine", *, own_bundle: bool = False) -> None:
        """One run of Debian's ocsinventory-agent under a host name of its own; it leaves a download process behind.

        `own_bundle`: it verifies with the cacert.pem in its own folder.
        """
        home = self.folder / host
        home.mkdir(exist_ok=True)
        words = [f"--server={self.http}", "--nolocal", f"--basevardir={home / 'var'}"]
        words += [] if own_bundle else [f"--ca={self.bundle}"]
        words += ["--debug", f"--logfile={home / 'agent.log'}"]
        done = subprocess.run(
            ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec ocsinventory-agent "$@"', host, *words],
            env={**CLEAN, "HOME": str(home)},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, (home / "agent.log").read_text()

    def own_agent(self, python: str, name: str = "agent", *words: str) -> subprocess.Popen[str]:
        """Our agent straight from the archive, isolated and without site-packages; `name` is its base directory."""
        options: list[str | Path] = ["--server", self.http, "--ca", self.bundle, "--basedir", self.folder / name]
        return subprocess.Popen(
            [python, "-I", "-S", self.pyz, "agent", *options, *words],
            env={**CLEAN, "HOME": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def contact(self, python: str, name: str = "agent", *words: str) -> str:
        """One contact of our agent with all it brings, which must succeed: what it said."""
        process = self.own_agent(python, name, "--once", *words)
        said, _ = process.communicate(timeout=WAIT)
        assert process.returncode == 0, said
        return said


@contextmanager
def site(pyz: Path, folder: Path) -> Iterator[Site]:
    """A server from its start to its end by SIGTERM."""
    folder.mkdir(exist_ok=True)
    words = ["serve", "--data", str(folder / "data"), "--listen", "127.0.0.1", "--server-name", "127.0.0.1"]
    words += ["--http-port", "0", "--https-port", "0", "--console-port", "0"]
    env = {**CLEAN, "HOME": str(folder), "OCS_CACHE": str(cache_folder())}
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen([sys.executable, pyz, *words], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            urls = [server.stdout.readline().split() for _ in range(3)]
            assert all(urls), (folder / "server.log").read_text()
            yield Site(pyz, folder, [line[1] for line in urls], server.stdout)
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(15) == 0


def cache_folder() -> Path:
    """Where the archive is unpacked for all tests of one run; private, as the archive demands."""
    folder = Path(__file__).resolve().parents[2] / ".work" / "unpacked"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def until(look: Callable[[], Seen | None], what: str) -> Seen:
    """Look again and again until there is something to see, at most WAIT seconds."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {WAIT:.0f} s in vain until {what}")


def targz(path: Path, files: Mapping[str, bytes], mode: int = 0o755) -> Path:
    """A tar.gz of files, with the file written to `path`."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return path


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of files, written to `path`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def script(text: str) -> bytes:
    """A shell script."""
    return f"#!/bin/sh\n{text}\n".encode()


def noise(size: int) -> bytes:
    """Bytes that no compression makes smaller."""
    return os.urandom(size)
