"""Taking in what the server announces, and letting go of what it withdrew. Nothing of it is worked on here.

Source: protocol.md 5.1 and 8 (31-37).
"""

from __future__ import annotations

from appliance.agent.failure import Failure
from appliance.agent.fetch import fetch_info
from appliance.agent.record import Phase
from appliance.agent.schedule import moment
from appliance.agent.world import World
from appliance.domain.messages import Pack, PrologReply
from appliance.domain.package import PackageId, is_package_id
from appliance.domain.status import ALREADY_SETUP


def take_in(world: World, reply: PrologReply) -> None:
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
    spool, package = world.spool, pack.package
    holding = spool.holdings.get(package)
    if holding is not None and holding.record.phase is Phase.ACKED and not holding.record.owes_post:
        spool.forget(package)  # its folder could not be removed before
        if package in spool.holdings:
            spool.conclude(package, "ERR_CLEAN", "What an earlier run left behind cannot be removed.")
            return
        holding = None
    if holding is not None and not holding.record.is_open:
        return  # its result comes first; announced again after that, it is a new one
    known = holding is not None and holding.info is not None
    try:
        if holding is None and package in spool.history() and not pack.force:
            spool.announce(pack, world.age.look())
            spool.conclude(package, ALREADY_SETUP, "It was installed before.")
            return
        spool.announce(pack, world.age.look())
        if known:
            moment(pack.schedule)  # which may be a new one
        else:
            world.log.info(f"{package}: announced.")
            fetch_info(world, pack)
            world.log.info(f"{package}: {describe(world, package)}")
    except Failure as failure:
        world.log.error(f"{package}: {failure}")
        spool.conclude(package, failure.code, failure.why)


def describe(world: World, package: PackageId) -> str:
    """A package in one line for the log."""
    holding = world.spool.holdings[package]
    info = holding.info
    if info is None:
        return "its info file is not here"
    name = f"{holding.name!r}, " if holding.name else ""
    size = f", {holding.manifest.size} bytes" if holding.manifest else ""
    return f"{name}{info.action.value.title()}, priority {info.priority}, {info.fragments} fragments{size}"
