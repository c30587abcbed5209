"""A computer says what it is: recognise it, keep all of it. Source: protocol.md 2.3, 2.4, checklist 16-19."""

from __future__ import annotations

import asyncio

from appliance.domain.computer import Computer, ComputerId
from appliance.domain.identity import Doubt
from appliance.domain.messages import Inventory, InventoryReply
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller, claims, look_for_clones, newcomer, posting, tell_of_claims
from appliance.settings import Settings
from appliance.store import computers, configuration, values
from appliance.store.database import Tx
from appliance.wire import contact
from appliance.wire.markup import MarkupLimits

NAME_BIT, SERIAL_BIT, MAC_BIT, MODEL_BIT, UUID_BIT = 1, 2, 4, 8, 16

# what vendors write where a serial or an address should be: equal on thousands of computers
NO_SERIALS = frozenset(
    [
        "0",
        "00000000",
        "0123456789",
        "123456789",
        "1234567890",
        "........",
        "default",
        "default_string",
        "none",
        "n/a",
        "na",
        "not_available",
        "not_applicable",
        "not_specified",
        "system_serial_number",
        "to_be_filled_by_o.e.m.",
        "to_be_filled_by_oem",
        "xxxxxxxxxxx",
        "serial",
        "serialnumber",
        "unknown",
        "invalid",
        "empty",
        "o.e.m.",
        "oem",
        "chassis_serial_number",
        "bad_sn",
    ]
)
NO_MACS = frozenset(
    [
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "44:45:53:54:00:00",
        "44:45:53:54:00:01",
        "00:53:45:00:00:00",
        "50:50:54:50:30:30",
        "02:00:4c:4f:4f:50",
    ]
)
UNTAGGED = "NA"

# What is kept was let in under the limits of its day, and merging may have doubled it.
KEPT = MarkupLimits(depth=1000, elements=20_000_000, attributes=20_000_000)


async def take_inventory(desk: Desk, inventory: Inventory, caller: Caller) -> InventoryReply:
    """Keep an inventory; the reply carries the account values where the computer's differ.

    Raises Refusal where whoever calls does not prove to be that computer.
    """
    xml, packed, sections = await _whole(desk, inventory)
    searched = await asyncio.to_thread(values.searchable, inventory.sections)
    async with posting(desk, inventory.device_id, caller) as tx:
        settings = await configuration.settings(tx)
        computer, is_new = await _recognise(tx, inventory, caller, settings)
        await computers.seen(tx, computer, caller.user_agent, caller.address)
        await computers.put_inventory(
            tx,
            computer,
            name=_name(inventory),
            facts=_facts(inventory),
            sections=sections,
            packed=packed,
            size=len(xml),
        )
        present = {name for name, _ in inventory.sections}
        if "SOFTWARES" in present:
            await computers.put_softwares(tx, computer, _softwares(inventory))
        if "NETWORKS" in present:
            await computers.put_networks(tx, computer, _networks(inventory))
        await values.put_values(tx, computer, searched, present)
        await computers.put_history(tx, computer, inventory.history)
        await look_for_clones(tx, computer, _unique(inventory), caller)
        return await _account(tx, computer, inventory, settings, is_new=is_new)


async def _whole(desk: Desk, inventory: Inventory) -> tuple[bytes, bytes, list[str]]:
    """The XML to keep, the same packed, and its sections: those that this message leaves out stay as they were."""
    sections = set(contact.section_names(inventory))
    async with desk.store.reading() as tx:
        known = await computers.find(tx, inventory.device_id)
        old = None
        if known and set(known.sections) - sections:
            old = await computers.inventory_xml(tx, known.id)
            sections |= set(known.sections)

    def work() -> tuple[bytes, bytes, list[str]]:
        xml = contact.merge_inventory(old, inventory.xml, KEPT) if old else inventory.xml
        return xml, computers.pack_xml(xml), sorted(sections)

    return await asyncio.to_thread(work)


async def _recognise(tx: Tx, inventory: Inventory, caller: Caller, settings: Settings) -> tuple[ComputerId, bool]:
    """The computer, and whether it was never seen before. What it may not take over stays a computer of its own."""
    known = await computers.find(tx, inventory.device_id)
    former = await computers.find(tx, inventory.old_device_id) if inventory.old_device_id else None
    claimed = [former] if former else []
    if known is None and former is None:
        claimed = await _look_alikes(tx, inventory, settings.number("AUTO_DUPLICATE_LVL"))
    taken, left = await claims(tx, known, claimed, settings)
    if known is not None:
        own, others = known.id, taken
    elif taken:
        own, others = taken[0].id, taken[1:]
        await computers.rename(tx, own, inventory.device_id)
    else:
        tag = dict(inventory.account).get("TAG", "") or UNTAGGED
        own, others = await computers.add(tx, inventory.device_id, _name(inventory), tag), []
        await newcomer(tx, own, caller, settings)
    for other in others:
        await computers.absorb(tx, own, other.id)
    await tell_of_claims(tx, Doubt.RENAME if former else Doubt.MERGE, own, taken, left, caller, settings)
    return own, known is None and not taken


def _unique(inventory: Inventory) -> dict[str, str]:
    """What no two computers share, the best first; empty where the message does not say it."""
    serial = _serial(inventory)
    return {"uuid": inventory.first("HARDWARE").get("UUID", ""), "serial": serial, "macs": " ".join(_macs(inventory))}


async def _look_alikes(tx: Tx, inventory: Inventory, level: int) -> list[Computer]:
    """Older computers that agree in everything the level asks for; a part that says nothing agrees with nobody."""
    bios, hardware = inventory.first("BIOS"), inventory.first("HARDWARE")
    parts = {
        NAME_BIT: hardware.get("NAME", ""),
        SERIAL_BIT: _serial(inventory),
        MAC_BIT: " ".join(_macs(inventory)),
        MODEL_BIT: bios.get("SMODEL", ""),
        UUID_BIT: hardware.get("UUID", ""),
    }
    asked = {bit: part if level & bit else "" for bit, part in parts.items()}
    if not level or any(level & bit and not part for bit, part in parts.items()):
        return []
    return await computers.look_alikes(
        tx,
        name=asked[NAME_BIT],
        ssn=asked[SERIAL_BIT],
        macs=asked[MAC_BIT].split(),
        model=asked[MODEL_BIT],
        uuid=asked[UUID_BIT],
        but=inventory.device_id,
    )


async def _account(
    tx: Tx, computer: ComputerId, inventory: Inventory, settings: Settings, *, is_new: bool
) -> InventoryReply:
    sent = dict(inventory.account)
    if settings.number("ACCEPT_TAG_UPDATE_FROM_CLIENT") and sent.get("TAG"):
        await computers.put_tag(tx, computer, sent["TAG"])
    kept = await computers.account(tx, computer)
    if sent == kept or (is_new and not sent):
        return InventoryReply(None)
    return InventoryReply(tuple(kept.items()))


def _facts(inventory: Inventory) -> dict[str, str]:
    """The searchable fields; one that a section no longer has becomes empty, a section left out says nothing."""
    facts: dict[str, str] = {}
    for section, fields in {"BIOS": computers.BIOS, "HARDWARE": computers.HARDWARE}.items():
        said = inventory.first(section)
        if said:
            facts |= {field.upper(): said.get(field.upper(), "") for field in fields}
    return facts


def _name(inventory: Inventory) -> str:
    return (inventory.first("HARDWARE").get("NAME") or inventory.device_id.rsplit("-", 6)[0])[:255]


def _serial(inventory: Inventory) -> str:
    serial = inventory.first("BIOS").get("SSN", "")
    return "" if serial.lower().replace(" ", "_") in NO_SERIALS else serial


def _macs(inventory: Inventory) -> list[str]:
    return sorted({mac for mac, _, _ in _networks(inventory)} - NO_MACS - {""})


def _softwares(inventory: Inventory) -> set[tuple[str, str, str]]:
    return {
        (row["NAME"][:255], row.get("VERSION", "")[:255], row.get("PUBLISHER", "")[:255])
        for row in inventory.rows("SOFTWARES")
        if row.get("NAME")
    }


def _networks(inventory: Inventory) -> list[tuple[str, str, str]]:
    rows = inventory.rows("NETWORKS")
    return [
        (row.get("MACADDR", "").lower()[:64], row.get("IPADDRESS", "")[:64], row.get("IPSUBNET", "")[:64])
        for row in rows[:1000]
    ]
