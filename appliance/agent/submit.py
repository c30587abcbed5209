"""The inventory on its way: all of it, or only what changed. What this computer is, is inventory's business.

A section that is left out keeps the rows that the server has (protocol.md 2.3). That is used only towards our own
server, and only while nothing speaks against its still having them: the last accepted inventory went there, under this
device id, and a whole one within a week. A genuine server gets all sections each time, as genuine agents do it.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.agent.failure import Unreachable
from appliance.agent.inventory import checksum
from appliance.agent.memory import Memory
from appliance.agent.world import World
from appliance.domain.messages import DeviceId, Section
from appliance.domain.package import PackageId
from appliance.wire import contact as messages
from appliance.wire.malformed import Malformed

WEEK = 7 * 24 * 3600
ALWAYS = "HARDWARE"  # its NAME makes it an inventory, and its CHECKSUM says what is in it


def submit(world: World, *, whole: bool = False) -> bool:
    """Send the inventory; whether the server accepted it. `whole`: all of it, whatever is known of the server."""
    memory = world.memory
    sections = world.inventory()
    known_there = memory.inventory_for == _place(world)
    bits, fingerprints = checksum.changed(memory.fingerprints if known_there else {}, sections)
    age = world.clock.now() - memory.full_inventory
    if whole or not (world.is_genuine or 0 <= age < WEEK):
        whole, bits = True, checksum.ALL_BITS
    whole = whole or world.is_genuine or not known_there
    sent = sections if whole else changes(sections, memory.fingerprints, fingerprints)
    account = list(memory.account.items()) or ([("TAG", world.tag)] if world.tag else [])
    message = messages.encode_inventory(
        world.device_id, with_checksum(sent, bits), account=account, history=world.spool.history()
    )
    try:
        reply = messages.decode_inventory_reply(world.remote.contact(message))
    except (Unreachable, Malformed) as error:
        world.log.warning(f"The inventory could not be sent: {error}")
        return False
    memory.fingerprints = fingerprints
    memory.inventory_for = _place(world)
    memory.last_inventory = world.clock.now()
    if whole:
        memory.full_inventory = world.clock.now()
    if reply.account is not None:
        memory.account = dict(reply.account)
    world.remember()
    what = "The inventory" if whole else "What changed of the inventory"
    world.log.info(f"{what} was sent: {len(sent)} rows, {len(message)} bytes of XML.")
    return True


def whole_message(memory: Memory, sections: list[Section], *, tag: str, history: list[PackageId]) -> bytes:
    """All of it as it would be sent, without sending it."""
    bits, _ = checksum.changed(memory.fingerprints, sections)
    account = list(memory.account.items()) or ([("TAG", tag)] if tag else [])
    told = with_checksum(sections, bits)
    return messages.encode_inventory(DeviceId(memory.device_id), told, account=account, history=history)


def changes(sections: list[Section], before: Mapping[str, str], now: Mapping[str, str]) -> list[Section]:
    """The rows of the sections that changed; an empty row for each section of which nothing is left."""
    new = {name for name in now if name == ALWAYS or before.get(name) != now[name]}
    return [(name, fields) for name, fields in sections if name in new] + [
        (name, {}) for name in sorted(before.keys() - now.keys())
    ]


def with_checksum(sections: list[Section], bits: int) -> list[Section]:
    """The sections with CHECKSUM in HARDWARE, where genuine servers look for it."""
    return [(name, {**fields, "CHECKSUM": str(bits)} if name == "HARDWARE" else fields) for name, fields in sections]


def _place(world: World) -> str:
    return f"{world.device_id} at {world.remote.server}"
