"""What a computer says at a contact and what it is answered, as values. Source: protocol.md 2 and 3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType, Union

from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo

DeviceId = NewType("DeviceId", str)
LONGEST_DEVICE_ID = 255

_DEVICE_ID = re.compile(r"[^\x00-\x1f\x7f<>/\\]+-[0-9]{4}(?:-[0-9]{2}){5}")

Section = tuple[str, dict[str, str]]  # ("DRIVES", {"TYPE": "/", ...}); repeating sections repeat


def is_device_id(text: str) -> bool:
    """Whether text is NAME-YYYY-MM-DD-hh-mm-ss (protocol.md 2.1)."""
    return len(text) <= LONGEST_DEVICE_ID and _DEVICE_ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Prolog:
    """The opening of a contact."""

    device_id: DeviceId


@dataclass(frozen=True)
class Inventory:
    """What a computer is and has. `checksum` is the OR of the changed sections' bits, None when not sent."""

    device_id: DeviceId
    sections: tuple[Section, ...]
    old_device_id: str = ""
    checksum: int | None = None
    account: tuple[tuple[str, str], ...] = ()  # KEYNAME, KEYVALUE; empty: none sent
    history: tuple[PackageId, ...] = ()  # packages the agent has installed, duplicates removed
    xml: bytes = b""  # the whole message as received, uncompressed

    def first(self, section: str) -> dict[str, str]:
        """The fields of the first row of a section, empty when there is none."""
        return next((fields for name, fields in self.sections if name == section), {})

    def rows(self, section: str) -> list[dict[str, str]]:
        """All rows of a repeating section."""
        return [fields for name, fields in self.sections if name == section]


@dataclass(frozen=True)
class Report:
    """A result code for a package, as sent."""

    device_id: DeviceId
    package: str
    code: str


@dataclass(frozen=True)
class Progress:
    """How many fragments of a package a computer has. Our own agent says it, to our own server only."""

    device_id: DeviceId
    package: str
    fetched: int  # 0 where it was no number


@dataclass(frozen=True)
class Other:
    """A query without a use here: it gets the polite answer that keeps the agent going."""

    device_id: str
    query: str  # NOTIFY, SNMP, UPDATE


Request = Union[Prolog, Inventory, Report, Progress, Other]


@dataclass(frozen=True)
class Pack:
    """One announced package: where to fetch it and how to treat it (PARAM TYPE="PACK")."""

    package: PackageId
    info_location: str  # host[:port]/path, no scheme
    fragment_location: str
    schedule: str = ""  # YYYY/MM/DD HH:MM, or empty
    post_command: str = ""  # REBOOT, SHUTDOWN, a command, or empty
    force: bool = False


@dataclass(frozen=True)
class PrologReply:
    """The answer to a Prolog. `tempo` None: nothing at all about deployment was said."""

    inventory_wanted: bool  # RESPONSE is SEND, else STOP
    prolog_hours: int = 24
    on_startup: bool = True
    tempo: Tempo | None = None
    packs: tuple[Pack, ...] = ()


@dataclass(frozen=True)
class InventoryReply:
    """The answer to an Inventory: account values to take over, or None when they agree."""

    account: tuple[tuple[str, str], ...] | None = None
