"""What the driver reaches for: the ports, and what is remembered. Tests pass their own, main the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from appliance.agent import memory as memories
from appliance.agent.log import Log
from appliance.agent.memory import Memory
from appliance.agent.perform import Host
from appliance.agent.remote import Remote
from appliance.agent.spool import Spool
from appliance.clock import Clock
from appliance.domain.messages import DeviceId, Section


@dataclass
class World:
    """Everything outside of the driver's decisions."""

    remote: Remote
    spool: Spool
    memory: Memory
    clock: Clock
    host: Host
    log: Log
    inventory: Callable[[], list[Section]]
    host_name: str
    chance: Callable[[], float]  # 0 <= chance() < 1
    tag: str = ""

    @property
    def device_id(self) -> DeviceId:
        """Who this computer is to the server."""
        return DeviceId(self.memory.device_id)

    def remember(self) -> None:
        """Keep what the memory holds now."""
        memories.save(self.memory, self.spool.folder, self.spool.files)
