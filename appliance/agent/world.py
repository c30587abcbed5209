"""What the driver reaches for: the ports, and what is remembered. Tests pass their own, main the real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Callable

from appliance.agent import memory as memories
from appliance.agent.age import Age
from appliance.agent.log import Log
from appliance.agent.memory import Memory
from appliance.agent.remote import Remote
from appliance.agent.spool import Spool
from appliance.clock import Clock
from appliance.domain.messages import DeviceId, Section
from appliance.domain.package import PackageId

if TYPE_CHECKING:  # imported by late.py
    from appliance.agent.jobs import Host
    from appliance.agent.people import People
    from appliance.agent.upkeep import Upkeep


@dataclass
class Patience:
    """How long to leave the server alone with results that it did not take."""

    failures: int = 0
    until: int = 0  # seconds since 1970


@dataclass
class Gossip:
    """When the server was told last how far packages have come, and how long it is left alone with that.

    In seconds that never jump; forgotten at the end of the run.
    """

    told: dict[PackageId, float] = field(default_factory=dict)
    until: float = 0.0
    refused_in: int = -1  # the number of the contact after which the server refused it


@dataclass
class World:
    """Everything outside of the driver's decisions."""

    remote: Remote
    spool: Spool
    memory: Memory
    clock: Clock
    make_host: Callable[[], Host]
    make_people: Callable[[], People]
    log: Log
    inventory: Callable[[], list[Section]]
    host_name: str
    chance: Callable[[], float]  # 0 <= chance() < 1
    tag: str = ""
    load: Callable[[], None] = lambda: None  # called before anything of a package is touched; see late.py
    joined_as: str = ""  # the device id in the certificate of a computer that joined
    renew: Callable[[], None] = lambda: None  # that certificate, where it is time; never fails
    upkeep: Upkeep | None = None  # of the running file; None where nobody cares for it
    patience: Patience = field(default_factory=Patience)
    gossip: Gossip = field(default_factory=Gossip)
    goes_down: bool = False  # a POSTCMD has the computer restart or shut down: nothing is begun any more

    def __post_init__(self) -> None:
        self.age = Age(self.memory, self.clock)

    @cached_property
    def host(self) -> Host:
        """This computer, to act on."""
        return self.make_host()

    @cached_property
    def people(self) -> People:
        """Whoever sits there."""
        return self.make_people()

    @property
    def device_id(self) -> DeviceId:
        """Who this computer is to the server."""
        return DeviceId(self.memory.device_id)

    @property
    def is_genuine(self) -> bool:
        """Whether the server is a genuine OCS server. One that was never met is taken for one: ours knows its words."""
        return self.memory.genuine.get(self.remote.server, True)

    def remember(self) -> None:
        """Keep what the memory holds now."""
        self.age.look()
        memories.save(self.memory, self.spool.folder, self.spool.files)
