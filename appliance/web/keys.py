"""What handlers find in their application."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appliance.operations.desk import Desk
from appliance.operations.jobs import Jobs
from appliance.web.gate import Gate


@dataclass(frozen=True)
class SelfFile:
    """The running file, held open since the start: replacing it on the disk must not mix two versions."""

    descriptor: int
    size: int


@dataclass
class Announced:
    """Where our agents get cacert.pem, and what is in it now: a port, and SHA-256 digests with commas."""

    port: int = 0
    digests: str = ""

    @property
    def header(self) -> str:
        """As it stands in an answer; empty before it is known."""
        return f"{self.port} {self.digests}" if self.port and self.digests else ""

    def now(self, digests: str) -> None:
        """What is in it from now on."""
        self.digests = digests


DESK = web.AppKey("desk", Desk)
SELF_FILE: web.AppKey[SelfFile | None] = web.AppKey("self_file")
AGENT_FILE: web.AppKey[bytes | None] = web.AppKey("agent_file")
LISTENER = web.AppKey("listener", str)
JOBS = web.AppKey("jobs", Jobs)
GATE = web.AppKey("gate", Gate)
ANNOUNCED = web.AppKey("announced", Announced)
