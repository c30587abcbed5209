"""Which computer this is: its device id, kept as long as its name stays. Source: protocol.md 2.1."""

from __future__ import annotations

import re
import socket

from appliance.agent.memory import Memory
from appliance.clock import stamp
from appliance.domain.messages import LONGEST_DEVICE_ID, DeviceId, is_device_id

_UNFIT = re.compile(r"[^\w.-]+", re.ASCII)
_STAMP = "-YYYY-MM-DD-hh-mm-ss"


def host_name() -> str:
    """The computer's short name."""
    return socket.gethostname().split(".", 1)[0]


def device_id(memory: Memory, host: str, now: int, joined_as: str = "") -> DeviceId:
    """The computer's device id; a new one where there is none yet, or where the computer was renamed.

    A computer that joined stays who its certificate says. `memory` is changed, not saved.
    """
    if joined_as:
        memory.device_id, memory.host = joined_as, host
    if memory.host != host or not is_device_id(memory.device_id):
        memory.device_id = new_device_id(host, now)
        memory.host = host
    return DeviceId(memory.device_id)


def new_device_id(host: str, now: int) -> DeviceId:
    """HOST-YYYY-MM-DD-hh-mm-ss, local time, as genuine agents make it."""
    name = _UNFIT.sub("_", host)[: LONGEST_DEVICE_ID - len(_STAMP)] or "computer"
    return DeviceId(f"{name}-{re.sub('[ :]', '-', stamp(now))}")
