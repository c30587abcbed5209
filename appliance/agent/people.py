"""The person at the machine, as the driver sees them: a port. What is shown, and how, is notice's business."""

from __future__ import annotations

from typing import Callable, Protocol

from appliance.agent import notice as notices
from appliance.agent.notice import Answer as Answer
from appliance.clock import Clock
from appliance.domain.package import Notice


class People(Protocol):
    """Whoever sits there, or nobody. Both verbs come back by themselves, whatever happens."""

    def ask(self, notice: Notice, *, name: str, delays: int) -> Answer:
        """Warn before a package acts; `delays`: how often it was put off already."""

    def confirm_done(self, text: str, *, name: str) -> None:
        """Have a package's end confirmed."""


class PeopleHere:
    """The real ones, by what this system has."""

    def __init__(self, clock: Clock, tell: Callable[[str], None]) -> None:
        self.ports = notices.system_ports(clock, tell)

    def ask(self, notice: Notice, *, name: str, delays: int) -> Answer:
        """Warn before a package acts."""
        return notices.ask(notice, package_name=name, delays=delays, ports=self.ports)

    def confirm_done(self, text: str, *, name: str) -> None:
        """Have a package's end confirmed."""
        notices.confirm_done(text, package_name=name, ports=self.ports)
