"""What the driver has this computer do, and what it hears of it: values, and the port. How it is done is perform's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from appliance.domain.package import Info, PackageId

GOES_DOWN = {
    "REBOOT": "shutdown -r now || reboot",
    "SHUTDOWN": "shutdown -h now || poweroff",
}
if sys.platform == "win32":
    GOES_DOWN = {"REBOOT": "shutdown /r /t 60 /d p:4:2", "SHUTDOWN": "shutdown /s /t 60 /d p:4:2"}


@dataclass(frozen=True)
class Job:
    """One package to act on. `folder` is its folder in the spool; `file` its verified archive, None without one."""

    info: Info
    name: str
    folder: Path
    file: BinaryIO | None
    minutes: int  # the longest that a command may run


@dataclass(frozen=True)
class Ending:
    """How it ended: the outcome's code, one sentence where it is no success, the exit code where there was one."""

    code: str
    why: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class Post:
    """What is to be done after a package's result was told: REBOOT, SHUTDOWN or a command of the shell."""

    package: PackageId
    name: str
    command: str
    folder: Path
    minutes: int

    @property
    def goes_down(self) -> bool:
        """Whether the computer goes down by it."""
        return self.command.strip().upper() in GOES_DOWN


class Witness(Protocol):
    """Who writes down what must be on disk before things go on."""

    def armed(self, run: str) -> None:
        """The command starts next."""

    def started(self, pid: int) -> None:
        """It has started. Must not raise: there is no way back."""


class Host(Protocol):
    """This computer, as the driver sees it."""

    def act(self, job: Job, witness: Witness) -> Ending:
        """Do what the package says. Raises Failure."""

    def ended(self, folder: Path, minutes: int) -> Ending | None:
        """How a command ended that an earlier run of the agent started here; None where nobody knows."""

    def post(self, post: Post) -> int | None:
        """Do what is to be done afterwards; its exit code, None where it has none."""
