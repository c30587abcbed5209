"""What is imported only once the first PROLOG was answered: all that acts, asks, collects or updates.

A start then speaks in half the time. It is safe although the file that this runs from may be replaced: until the
answer came this process has run nothing of any package; from then on all of it is in memory. A replacement by hand in
that tenth of a second ends the start with an error, and the service starts it anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.agent.files import Files
from appliance.agent.log import Log
from appliance.clock import Clock
from appliance.domain.messages import Section

if TYPE_CHECKING:
    from appliance.agent.jobs import Host
    from appliance.agent.people import People


def load() -> None:
    """Import it now. Done once; costs nothing after that."""
    from appliance.agent import intake, inventory, people, perform, periods, posts, submit, update  # noqa: F401

    inventory.preload()
    "x".encode("idna")  # socket and ssl import this codec when they meet a name


def host(folder: Path, server: str, files: Files, outer: Mapping[str, str] = os.environ) -> Host:
    """This computer, to act on."""
    from appliance.agent.perform import LocalHost

    return LocalHost(install_path=folder, server=server, outer=outer, files=files)


def people(clock: Clock, log: Log) -> People:
    """Whoever sits there."""
    from appliance.agent.people import PeopleHere

    return PeopleHere(clock, log.info)


def collect() -> list[Section]:
    """The inventory."""
    from appliance.agent import inventory

    return inventory.collect()
