"""Computers of a site: base directories of our agent, each with a device id of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance.agent.files import Files
from appliance.agent.identity import host_name
from appliance.agent.memory import Memory, save
from tests.whole.foreign import ForeignDepot
from tests.whole.site import WAIT, Site


class Computer:
    """One of many computers on this one machine: the device id is given to it, everything else is real."""

    def __init__(self, site: Site, python: str, name: str, *words: str) -> None:
        self.site = site
        self.python = python
        self.name = name
        self.words = words
        self.folder = site.folder / name
        self.spool = self.folder / "spool"
        self.device_id = f"{name}-2026-01-31-09-30-00"
        self.spool.mkdir(mode=0o700, parents=True)
        self.folder.chmod(0o700)
        save(Memory(device_id=self.device_id, host=host_name()), self.spool, Files())
        self.contact()

    def contact(self) -> str:
        """One contact with all it brings, which must succeed: what the agent said."""
        return self.site.contact(self.python, self.name, *self.words)

    def try_contact(self) -> tuple[int, str]:
        """One contact that may fail: exit code, and what the agent said."""
        process = self.start()
        said, _ = process.communicate(timeout=WAIT)
        return process.returncode, said

    def start(self) -> subprocess.Popen[str]:
        """One contact that has just begun."""
        return self.site.own_agent(self.python, self.name, "--once", *self.words)

    def deploy(self, name: str, *words: str, priority: int = 1) -> str:
        """Build, activate and affect a package to this computer: its id."""
        package = self.build(name, *words, priority=priority)
        self.announce(package)
        return package

    def build(self, name: str, *words: str, priority: int = 1) -> str:
        """Build a package: its id."""
        order = ("--name", f"{name} for {self.name}", "--os", "linux", "--priority", str(priority))
        return self.site.ask("package", "build", *order, *words)

    def announce(
        self, package: str, *terms: str, info: ForeignDepot | None = None, fragments: ForeignDepot | None = None
    ) -> None:
        """Activate a package, at other depots where they are given, and affect it to this computer."""
        where = [f"--info-url={info.secure}"] if info else []
        where += [f"--fragment-url={fragments.plain}"] if fragments else []
        self.site.ask("package", "activate", package, "--unchecked", *where)
        self.affect(package, *terms)

    def affect(self, package: str, *terms: str) -> None:
        """Affect it to this computer, again where it was before."""
        assert self.site.ask("package", "affect", package, "--computer", self.device_id, *terms) == "1"

    def outcome(self, package: str) -> tuple[str, str]:
        """Status and received code as the server has them now."""
        lines = self.site.stats(package)["computers"]
        (line,) = [line for line in lines if line["deviceid"] == self.device_id]
        return line["status"], line["received"]

    def ended(self, package: str) -> bool:
        """Whether the server knows an outcome."""
        return self.outcome(package)[0] not in ("WAITING NOTIFICATION", "NOTIFIED")

    def set(self, name: str, value: int) -> None:
        """A setting for this computer only."""
        self.site.ask("config", "set", name, str(value), "--computer", self.device_id)

    def left(self) -> list[str]:
        """What of packages is left in the spool: their folders and all that is not remembered on purpose."""
        kept = {"results", "history", "state.json", "ballast"}
        return sorted(str(path.relative_to(self.spool)) for path in self.spool.iterdir() if path.name not in kept)

    def result(self, package: str) -> dict[str, Any]:
        """What `agent status` tells of a package that ended."""
        done = subprocess.run(
            [self.python, "-I", "-S", self.site.pyz, "agent", "status", "--json", "--basedir", self.folder],
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=True,
        )
        (result,) = [one for one in json.loads(done.stdout)["results"] if one["package"] == package]
        return dict(result)


def running(text: str, *, told: bool = False) -> list[int]:
    """The processes with this in their command line; `told`: or in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                known = (folder / "cmdline").read_bytes() + ((folder / "environ").read_bytes() if told else b"")
            except OSError:
                continue
            if text.encode() in known:
                found.append(int(folder.name))
    return found


def cut_power(computer: Computer) -> None:
    """End all processes of a computer at one moment: first they are stopped, so that nobody sees another one die."""
    stopped: set[int] = set()
    while doomed := set(running(str(computer.folder), told=True)) - stopped:  # one may have begun another meanwhile
        for process in doomed:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        stopped |= doomed
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size mounted at a new folder. Raises CalledProcessError where that cannot be."""
    folder.mkdir(mode=0o700, parents=True)
    command(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)])
    try:
        yield folder
    finally:
        command(["umount", "-l", str(folder)])


def command(words: Sequence[str]) -> None:
    """One of the system's programs, which must succeed."""
    subprocess.run(words, check=True, capture_output=True, timeout=WAIT)
