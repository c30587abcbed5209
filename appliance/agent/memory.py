"""What the agent remembers beside its packages: who it is, what the server told it, when it is due. One JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.agent.files import Files
from appliance.domain.tempo import Tempo

NAME = "state.json"


@dataclass
class Memory:
    """Plain values; moments in seconds since 1970, 0 for never."""

    device_id: str = ""
    host: str = ""  # the host name that the device id was made for
    account: dict[str, str] = field(default_factory=dict)  # as the server gave it: TAG and others
    manifest_hosts: list[str] = field(default_factory=list)  # have served a manifest once: must go on doing so
    genuine: dict[str, bool] = field(default_factory=dict)  # server's URL: whether it is a genuine OCS server
    fingerprints: dict[str, str] = field(default_factory=dict)  # of the last inventory that was accepted,
    inventory_for: str = ""  # by which server, from which device id,
    full_inventory: int = 0  # and when it was a whole one last
    tempo: Tempo | None = None  # as told last; None: the server never spoke of deployment
    prolog_hours: int = 24
    last_contact: int = 0
    last_inventory: int = 0
    next_contact: int = 0
    contacts: int = 0  # how many succeeded
    failures: int = 0  # contacts failed in a row
    trouble: str = ""  # why the last contact failed; empty: it did not
    lived: int = 0  # seconds, see age.py
    seen_at: int = 0  # when it was counted last


def load(spool: Path) -> Memory:
    """What is remembered; a fresh Memory where there is none, or none that can be read."""
    try:
        document = json.loads((spool / NAME).read_bytes())
    except (OSError, ValueError):
        return Memory()
    memory = Memory()
    if not isinstance(document, dict):
        return memory
    for name, value in document.items():
        _take(memory, name, value)
    return memory


def save(memory: Memory, spool: Path, files: Files) -> None:
    """Remember it, whole or not at all."""
    files.keep(spool / NAME, json.dumps(asdict(memory), indent=1, sort_keys=True).encode() + b"\n")


def _take(memory: Memory, name: str, value: Any) -> None:
    if name == "tempo" and isinstance(value, dict):
        try:
            memory.tempo = Tempo(**value)
        except TypeError:
            return  # of another version: the next contact brings it again
    elif name != "tempo" and hasattr(memory, name) and type(value) is type(getattr(memory, name)):
        setattr(memory, name, value)
