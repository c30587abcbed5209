"""A computer as the last contact left it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

from appliance.domain.messages import DeviceId

ComputerId = NewType("ComputerId", int)


@dataclass(frozen=True)
class Computer:
    """One computer as the last contact left it; `facts` are the searchable columns."""

    id: ComputerId
    device_id: DeviceId
    name: str
    tag: str
    user_agent: str
    address: str
    first_seen: int
    last_contact: int
    last_inventory: int | None
    sections: tuple[str, ...]
    facts: Mapping[str, str | int | None]
