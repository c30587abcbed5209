"""One contact: results that wait, PROLOG, what is announced, INVENTORY. Source: protocol.md 2 and 8 (28-38).

What is announced is only taken in here; it is worked on by the driver.
"""

from __future__ import annotations

from appliance.agent.failure import Failure, Unreachable
from appliance.agent.fetch import fetch_info
from appliance.agent.identity import device_id
from appliance.agent.inventory import checksum
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.messages import Pack, PrologReply, Report, Section
from appliance.domain.package import PackageId, is_package_id
from appliance.domain.status import ALREADY_SETUP
from appliance.wire import contact as messages
from appliance.wire.malformed import Malformed

HOUR = 3600
FIRST_RETRY = 5 * 60  # seconds; doubled at each failure, at most an hour


def make_contact(world: World, *, force_inventory: bool = False) -> bool:
    """Speak with the server; whether all of it succeeded. What failed is tried again at the next contact."""
    memory = world.memory
    try:
        world.remote.refresh()
        before = memory.device_id
        device_id(memory, world.host_name, world.clock.now())
        if memory.device_id != before:
            world.remember()  # before the server hears of it
            world.log.info(f"This computer is {memory.device_id}.")
        send_results(world)
        reply = _prolog(world)
    except (Unreachable, Malformed) as error:
        memory.failures += 1
        memory.trouble = str(error)
        memory.next_contact = world.clock.now() + retry_after(memory.failures, world.chance())
        world.remember()
        world.log.warning(f"The contact failed: {error}")
        return False
    first = memory.last_contact == 0
    memory.failures, memory.trouble = 0, ""
    memory.last_contact = world.clock.now()
    memory.prolog_hours = reply.prolog_hours
    memory.next_contact = memory.last_contact + next_after(reply.prolog_hours, first=first, chance=world.chance())
    if reply.tempo is not None:
        memory.tempo = reply.tempo
    world.remember()
    _take_in(world, reply)
    done = True
    if reply.inventory_wanted or force_inventory:
        done = _inventory(world)
    send_results(world)  # of what turned out while taking in
    world.log.info(f"The contact is done; the next one is due at {stamp(memory.next_contact)}.")
    return done


def send_results(world: World) -> bool:
    """Tell the server the results that it has not acknowledged yet; whether none is left."""
    for package in world.spool.pending():
        code = world.spool.holdings[package].record.code
        try:
            world.remote.contact(messages.encode_report(Report(world.device_id, package, code)))
        except Unreachable as error:
            world.log.warning(f"{package}: {code} could not be told to the server and is kept: {error}")
            return False
        world.log.info(f"{package}: the server knows of {code}.")
        world.spool.acknowledge(package)
    return True


def retry_after(failures: int, chance: float) -> int:
    """Seconds to wait after so many failed contacts in a row, spread so that a thousand agents do not call at once."""
    return int(min(HOUR, FIRST_RETRY * 2 ** min(failures - 1, 10)) * (0.5 + chance / 2))


def next_after(prolog_hours: int, *, first: bool, chance: float) -> int:
    """Seconds between two contacts; after the very first one any part of it, so that computers spread out."""
    seconds = prolog_hours * HOUR
    return int(seconds * (0.1 + 0.9 * chance)) if first else seconds


def _prolog(world: World) -> PrologReply:
    answer = world.remote.contact(messages.encode_prolog(world.device_id))
    reply = messages.decode_prolog_reply(answer)
    world.log.debug(f"The server answers: {reply}")
    return reply


def _take_in(world: World, reply: PrologReply) -> None:
    """Take the announcements in, and let go of what was withdrawn. Nothing is withdrawn by silence about deployment."""
    if reply.tempo is None or not reply.tempo.on:
        return
    packs: dict[PackageId, Pack] = {}
    for pack in reply.packs:
        if is_package_id(pack.package):
            packs.setdefault(pack.package, pack)
        else:
            world.log.warning(f"The server announces {pack.package!r}, which is no package id.")
    for package, holding in list(world.spool.holdings.items()):
        if package not in packs and holding.record.is_open:
            world.log.info(f"{package}: withdrawn before it was started; it is dropped.")
            world.spool.drop(package)
    for pack in packs.values():
        _take_in_one(world, pack)


def _take_in_one(world: World, pack: Pack) -> None:
    package, holding = pack.package, world.spool.holdings.get(pack.package)
    if holding is not None and not holding.record.is_open:
        return  # its result comes first; announced again after that, it is a new one
    known = holding is not None and holding.info is not None
    try:
        if holding is None and package in world.spool.history() and not pack.force:
            world.spool.announce(pack)
            world.spool.conclude(package, ALREADY_SETUP, "It was installed before.")
            return
        holding = world.spool.announce(pack)
        if not known:
            world.log.info(f"{package}: announced.")
            fetch_info(world, pack)
            world.log.info(f"{package}: {describe(world, package)}")
    except Failure as failure:
        world.log.error(f"{package}: {failure}")
        world.spool.conclude(package, failure.code, failure.why)


def describe(world: World, package: PackageId) -> str:
    """A package in one line for the log."""
    holding = world.spool.holdings[package]
    info = holding.info
    if info is None:
        return "its info file is not here"
    name = f"{holding.name!r}, " if holding.name else ""
    size = f", {holding.manifest.size} bytes" if holding.manifest else ""
    return f"{name}{info.action.value.title()}, priority {info.priority}, {info.fragments} fragments{size}"


def _inventory(world: World) -> bool:
    sections = world.inventory()
    bits, fingerprints = checksum.changed(world.memory.fingerprints, sections)
    account = list(world.memory.account.items()) or ([("TAG", world.tag)] if world.tag else [])
    message = messages.encode_inventory(
        world.device_id, with_checksum(sections, bits), account=account, history=world.spool.history()
    )
    try:
        reply = messages.decode_inventory_reply(world.remote.contact(message))
    except (Unreachable, Malformed) as error:
        world.log.warning(f"The inventory could not be sent: {error}")
        return False
    world.memory.fingerprints = fingerprints
    world.memory.last_inventory = world.clock.now()
    if reply.account is not None:
        world.memory.account = dict(reply.account)
    world.remember()
    world.log.info(f"The inventory was sent: {len(sections)} rows, {len(message)} bytes of XML.")
    return True


def with_checksum(sections: list[Section], bits: int) -> list[Section]:
    """The sections with CHECKSUM in HARDWARE, where genuine servers look for it."""
    return [(name, {**fields, "CHECKSUM": str(bits)} if name == "HARDWARE" else fields) for name, fields in sections]
